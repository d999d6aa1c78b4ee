/* The one function that Rust's standard library takes from bcryptprimitives.dll, for wine before 10, which has no
 * such library. Tests under wine only; no part of a release. */

#include <windows.h>

/* RtlGenRandom, by the name under which advapi32 exports it. */
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    const SIZE_T most = 1u << 30;
    while (length > 0) {
        ULONG part = (ULONG)(length < most ? length : most);
        if (!SystemFunction036(buffer, part))
            return FALSE;
        buffer += part;
        length -= part;
    }
    return TRUE;
}
