//go:build linux

package packaging

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/debian"
)

// docDir is the directory of the documentation in the packages.
const docDir = "/usr/share/doc/kamailio-exporter"

// packaged returns the files of each package with their sources in this directory. Programs have the source "".
func packaged(t *testing.T) map[string]string {
	t.Helper()
	files := maps.Clone(packagedAlways)
	for _, document := range documents(t) {
		files[docDir+"/"+document] = "../" + document
	}
	return files
}

var packagedAlways = map[string]string{
	"/etc/default/kamailio_exporter":                    "kamailio_exporter.default",
	"/usr/bin/kamailio_exporter":                        "",
	"/usr/bin/kamrpc":                                   "",
	"/usr/lib/systemd/system/kamailio_exporter.service": "systemd/kamailio_exporter.service",
	"/usr/lib/systemd/system/kamailio_exporter.socket":  "systemd/kamailio_exporter.socket",
	docDir + "/LICENSE":                                 "../LICENSE",
	docDir + "/copyright":                               "../LICENSE",
	"/usr/share/man/man1/kamailio_exporter.1.gz":        "../bin/package/kamailio_exporter.1.gz",
	"/usr/share/man/man1/kamrpc.1.gz":                   "../bin/package/kamrpc.1.gz",
}

// debPackaged returns the files of the deb with their sources.
func debPackaged(t *testing.T) map[string]string {
	t.Helper()
	files := packaged(t)
	files[docDir+"/changelog.gz"] = "../bin/package/changelog.gz"
	files["/usr/share/lintian/overrides/kamailio-exporter"] = "lintian-overrides"
	return files
}

// postInstall returns the complete script that a kind of package runs after an installation.
func postInstall(t *testing.T, part string) string {
	t.Helper()
	return string(contents(t, "scripts/advise.sh")) + string(contents(t, "scripts/"+part))
}

type packageArch struct{ goarch, goarm, deb, rpm, apk string }

// packageArches are the names that each kind of package has for the architectures.
var packageArches = []packageArch{
	{"amd64", "", "amd64", "x86_64", "x86_64"},
	{"arm64", "", "arm64", "aarch64", "aarch64"},
	{"arm", "7", "armhf", "armv7hl", "armv7"},
	{"386", "", "i386", "i386", "x86"},
	{"ppc64le", "", "ppc64el", "ppc64le", "ppc64le"},
	{"s390x", "", "s390x", "s390x", "s390x"},
	{"riscv64", "", "riscv64", "riscv64", "riscv64"},
}

// debArch is Debian's name for this machine's architecture.
func debArch(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(output(t, "dpkg", "--print-architecture"))
}

func TestDebs(t *testing.T) {
	want := wantedStamp(t)
	for _, arch := range packageArches {
		t.Run(arch.deb, func(t *testing.T) {
			deb := only(t, "*_"+arch.deb+".deb")
			field := func(name string) string { return strings.TrimSpace(output(t, "dpkg-deb", "-f", deb, name)) }
			version := strings.Replace(want.version, "-", "~", 1)
			if field("Package") != "kamailio-exporter" || field("Version") != version || field("Architecture") != arch.deb {
				t.Errorf("it is %s %s for %s, want kamailio-exporter %s for %s", field("Package"), field("Version"), field("Architecture"), version, arch.deb)
			}
			root := filepath.Join(t.TempDir(), "root")
			output(t, "dpkg-deb", "-R", deb, root)
			control := filepath.Join(root, "DEBIAN")
			if got := string(contents(t, filepath.Join(control, "conffiles"))); got != "/etc/default/kamailio_exporter\n" {
				t.Errorf("conffiles are %q", got)
			}
			if got := string(contents(t, filepath.Join(control, "postinst"))); got != postInstall(t, "deb-postinst.sh") {
				t.Errorf("postinst is\n%s", got)
			}
			for _, script := range []string{"prerm", "postrm"} {
				sameFile(t, script, contents(t, filepath.Join(control, script)), "scripts/deb-"+script+".sh")
			}
			if err := os.RemoveAll(control); err != nil {
				t.Fatal(err)
			}
			found := readTree(t, root)
			checkPackaged(t, found, debPackaged(t), arch.goarch, arch.goarm, want)
			checkLinks(t, found, docDir)
		})
	}
}

// readTree reads all files below a directory.
func readTree(t *testing.T, root string) map[string][]byte {
	t.Helper()
	found := make(map[string][]byte)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found[strings.TrimPrefix(path, root)] = contents(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// checkPackaged checks that a package has these files and nothing else.
func checkPackaged(t *testing.T, found map[string][]byte, wanted map[string]string, goarch, goarm string, want stamp) {
	t.Helper()
	if got, want := slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(wanted)); !slices.Equal(got, want) {
		t.Fatalf("it has %q, want %q", got, want)
	}
	for name, source := range wanted {
		if source == "" {
			checkProgram(t, found[name], filepath.Base(name), "linux", goarch, goarm, want)
		} else {
			sameFile(t, name, found[name], source)
		}
	}
}

var rpmTools = debian.Set{Name: "rpm", Packages: []string{"rpm"}, Programs: []string{"rpm"}}

// rpm runs rpm and returns its output.
func rpm(t *testing.T, args ...string) string {
	t.Helper()
	program := tool(t, rpmTools, "rpm")
	t.Setenv("RPM_CONFIGDIR", filepath.Join(filepath.Dir(program), "../root/usr/lib/rpm"))
	return output(t, program, args...)
}

func TestRPMs(t *testing.T) {
	version := strings.Replace(wantedStamp(t).version, "-", "~", 1)
	var files strings.Builder
	modes := make(map[string]string)
	for name := range packaged(t) {
		modes[name] = "-rw-r--r--"
		if filepath.Dir(name) == "/usr/bin" {
			modes[name] = "-rwxr-xr-x"
		}
	}
	modes[docDir+"/LICENSE"] = "l---------" // nfpm sets no mode for a symbolic link, and Linux uses none
	for _, dir := range []string{"", "/docs", "/docs/images", "/packaging", "/packaging/kubernetes"} {
		modes[docDir+dir] = "drwxr-xr-x"
	}
	for _, name := range slices.Sorted(maps.Keys(modes)) {
		flags := ""
		if filepath.Dir(name) == "/etc/default" {
			flags = "cn" // a configuration file that an upgrade does not replace
		}
		files.WriteString(name + " " + flags + " " + modes[name] + " root root\n")
	}
	for _, arch := range packageArches {
		t.Run(arch.rpm, func(t *testing.T) {
			file := only(t, "*."+arch.rpm+".rpm")
			for format, want := range map[string]string{
				"%{NAME} %{VERSION} %{ARCH}": "kamailio-exporter " + version + " " + arch.rpm,
				`[%{FILENAMES} %{FILEFLAGS:fflags} %{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME}\n]`: files.String(),
				"%{POSTIN}":    postInstall(t, "rpm-post.sh"),
				"%{PREUN}":     string(contents(t, "scripts/rpm-preun.sh")),
				"%{POSTUN}":    string(contents(t, "scripts/rpm-postun.sh")),
				"%{BUILDHOST}": "localhost",
			} {
				if got := rpm(t, "-qp", "--qf", format, file); strings.TrimSpace(got) != strings.TrimSpace(want) {
					t.Errorf("%s is\n%s\nwant\n%s", format, got, want)
				}
			}
		})
	}
}

func TestAPKs(t *testing.T) {
	want := wantedStamp(t)
	wanted := packaged(t)
	delete(wanted, docDir+"/LICENSE") // not a regular file
	wanted["/etc/init.d/kamailio_exporter"] = "openrc/kamailio_exporter"
	for _, arch := range packageArches {
		t.Run(arch.apk, func(t *testing.T) {
			found := make(map[string][]byte)
			scripts := make(map[string][]byte)
			for name, m := range members(t, only(t, "*_pre_"+arch.apk+".apk")) {
				switch {
				case strings.HasPrefix(name, "."):
					scripts[name] = m.content
				case m.header.FileInfo().Mode().IsRegular():
					found["/"+name] = m.content
				}
			}
			checkPackaged(t, found, wanted, arch.goarch, arch.goarm, want)
			for _, script := range []string{".post-install", ".post-upgrade"} {
				if got := string(scripts[script]); got != postInstall(t, "apk-post-install.sh") {
					t.Errorf("%s is\n%s", script, got)
				}
			}
			sameFile(t, ".pre-deinstall", scripts[".pre-deinstall"], "scripts/apk-pre-deinstall.sh")
			for _, line := range []string{"pkgname = kamailio-exporter\n", "arch = " + arch.apk + "\n"} {
				if !bytes.Contains(scripts[".PKGINFO"], []byte(line)) {
					t.Errorf(".PKGINFO does not have %q:\n%s", line, scripts[".PKGINFO"])
				}
			}
		})
	}
}

var shellcheck = debian.Set{Name: "shellcheck", Packages: []string{"shellcheck"}, Programs: []string{"shellcheck"}}

func TestShellScripts(t *testing.T) {
	check := tool(t, shellcheck, "shellcheck")
	scripts, err := filepath.Glob("scripts/*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("scripts %q, %v", scripts, err)
	}
	for _, script := range scripts {
		if text := string(contents(t, script)); !strings.HasPrefix(text, "#!") { // advise.sh precedes it
			script = filepath.Join(t.TempDir(), filepath.Base(script))
			writeFile(t, script, postInstall(t, filepath.Base(script)))
		}
		if filepath.Base(script) != "advise.sh" {
			output(t, check, "--shell=sh", script)
		}
	}
	// OpenRC reads the variables, and the file with the flags is not here.
	output(t, check, "--shell=sh", "--exclude=SC2034,SC1091", "openrc/kamailio_exporter")
}
