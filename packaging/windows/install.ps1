# Installs kiln for the current user: copies this folder to %LOCALAPPDATA%\Programs\kiln and puts that on the user's
# PATH. No administrator needed. Run again to update; `install.ps1 -Uninstall` takes both away.
param([switch]$Uninstall)
$ErrorActionPreference = 'Stop'

$target = Join-Path $env:LOCALAPPDATA 'Programs\kiln'
$path = [Environment]::GetEnvironmentVariable('Path', 'User')
$others = @($path -split ';' | Where-Object { $_ -and $_ -ne $target })

if ($Uninstall) {
    [Environment]::SetEnvironmentVariable('Path', ($others -join ';'), 'User')
    if (Test-Path $target) { Remove-Item -Recurse -Force $target }
    Write-Output "kiln is removed. What it built is in $env:LOCALAPPDATA\kiln."
    return
}

if (Test-Path $target) { Remove-Item -Recurse -Force $target }
New-Item -ItemType Directory -Force $target | Out-Null
Copy-Item -Recurse -Force (Join-Path $PSScriptRoot '*') $target
[Environment]::SetEnvironmentVariable('Path', (($others + $target) -join ';'), 'User')
Write-Output "kiln is in $target. Open a new terminal and try: kiln doctor"
