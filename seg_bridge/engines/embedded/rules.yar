/*
  Bailey's own rules for what hangs on a mail or hides in it.  `says` is the sentence that an analyst
  reads; the points stand in weights.toml under the rule's name with "yara_" before it.
  The rules run over the mail as it came and over every decoded attachment and archive member.
*/

rule eicar
{
    meta:
        says = "The mail carries the EICAR test file, which every scanner must report."
    strings:
        $test = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    condition:
        $test in (0 .. 4096) and filesize < 64KB or $test at 0
}

rule windows_program
{
    meta:
        says = "The mail carries a program for Windows."
    condition:
        uint16(0) == 0x5A4D and uint32(0x3C) < filesize and uint32(uint32(0x3C)) == 0x00004550
}

rule linux_or_mac_program
{
    meta:
        says = "The mail carries a program for Linux or macOS."
    condition:
        uint32(0) == 0x464C457F or uint32(0) == 0xFEEDFACF or uint32(0) == 0xCFFAEDFE
}

rule shortcut_file
{
    meta:
        says = "The mail carries a Windows shortcut, which starts whatever its maker wants."
    condition:
        uint32(0) == 0x0000004C and uint32(4) == 0x00021401
}

rule disk_image
{
    meta:
        says = "The mail carries a disk image."
    strings:
        $iso = "CD001"
    condition:
        $iso at 32769
}

rule office_macro_that_starts_itself
{
    meta:
        says = "The mail carries an Office file whose macro starts by itself and reaches out."
    strings:
        $auto1 = "AutoOpen" nocase
        $auto2 = "Document_Open" nocase
        $auto3 = "Workbook_Open" nocase
        $auto4 = "Auto_Open" nocase
        $auto5 = "AutoExec" nocase
        $act1 = "WScript.Shell" nocase
        $act2 = "Shell" fullword
        $act3 = "URLDownloadToFile" nocase
        $act4 = "powershell" nocase
        $act5 = "MSXML2" nocase
        $act6 = "CreateObject" nocase
    condition:
        (uint32(0) == 0xE011CFD0 or uint16(0) == 0x4B50) and any of ($auto*) and any of ($act*)
}

rule office_link_template
{
    meta:
        says = "The mail carries an Office file that loads a template from the internet."
    strings:
        $type = "attachedTemplate" nocase
        $outside = "TargetMode=\"External\"" nocase
        $http = "Target=\"http" nocase
    condition:
        all of them
}

rule rtf_object_trick
{
    meta:
        says = "The mail carries an RTF file with an embedded object that updates itself."
    strings:
        $update = "\\objupdate" nocase
        $equation = "Equation.3" nocase
        $equation_hex = "4571756174696f6e2e33" nocase
        $data = "\\objdata" nocase
    condition:
        uint32(0) == 0x74725C7B and ($update and $data or any of ($equation*))
}

rule script_that_loads
{
    meta:
        says = "The mail carries a script that loads or starts something."
    strings:
        $a = "WScript.Shell" nocase
        $b = "ActiveXObject" nocase
        $c = "ADODB.Stream" nocase
        $d = "MSXML2.XMLHTTP" nocase
        $e = "Scripting.FileSystemObject" nocase
        $f = /powershell(\.exe)?["' ]{1,4}[^\r\n]{0,80}-e(nc|c|ncodedcommand)?\s/ nocase
        $g = "DownloadString(" nocase
        $h = "Invoke-Expression" nocase
    condition:
        filesize < 2MB and 2 of them
}

rule page_that_builds_a_file
{
    meta:
        says = "The mail carries a web page that builds a file inside the browser, past every scanner."
    strings:
        $blob = "new Blob" nocase
        $save1 = "msSaveOrOpenBlob" nocase
        $save2 = "createObjectURL" nocase
        $download = ".download" nocase
        $atob = "atob(" nocase
    condition:
        $blob and any of ($save*) and ($download or $atob)
}

rule page_that_asks_a_password
{
    meta:
        says = "The mail carries a web page that asks for a password and sends it away."
    strings:
        $password = /type\s*=\s*["']?password/ nocase
        $page = "<html" nocase
        $send1 = "method=\"post\"" nocase
        $send2 = "method='post'" nocase
        $send3 = "$.ajax" nocase
        $send4 = "fetch(" nocase
        $send5 = "XMLHttpRequest" nocase
        $send6 = "api.telegram.org/bot" nocase
    condition:
        $password and $page and any of ($send*)
}

rule page_that_is_scrambled
{
    meta:
        says = "The mail carries a web page whose code is scrambled so that it cannot be read."
    strings:
        $unescape = /unescape\(["']%[0-9a-f]{2}%[0-9a-f]{2}%/ nocase
        $atob = /document\.write\(\s*(unescape|atob|decodeURIComponent)\(/ nocase
        $eval = /eval\(\s*(unescape|atob|function\(p,a,c,k)/ nocase
        $hex = /(\\x[0-9a-f]{2}){60}/ nocase
        $array = /var _0x[0-9a-f]{4,6}\s*=/
        $location = /window\.location(\.href)?\s*=\s*(atob|unescape)\(/ nocase
    condition:
        any of them
}

rule pdf_that_acts
{
    meta:
        says = "The mail carries a PDF that runs script or starts a program when it is opened."
    strings:
        $script = "/JavaScript"
        $js = "/JS"
        $launch = "/Launch"
        $open = "/OpenAction"
    condition:
        uint32(0) == 0x46445025 and ($launch or ($open and ($script or $js)))
}

rule vector_image_with_script
{
    meta:
        says = "The mail carries a vector image with script inside."
    strings:
        $svg = "<svg" nocase
        $script = "<script" nocase
        $event = /\son(load|click|error)\s*=/ nocase
    condition:
        filesize < 1MB and $svg in (0 .. 2048) and ($script or $event)
}
