//go:build linux

package packaging

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/debian"
)

// docDir is the directory of the documentation in the packages.
const docDir = "/usr/share/doc/kamailio-exporter"

// packaged returns the files of each package with their sources in this directory. Programs have the source "". zshDir is the
// directory of completion scripts for zsh.
func packaged(t *testing.T, zshDir string) map[string]string {
	t.Helper()
	files := map[string]string{
		"/etc/default/kamailio_exporter":                     "kamailio_exporter.default",
		"/usr/bin/kamailio_exporter":                         "",
		"/usr/bin/kamrpc":                                    "",
		"/usr/lib/systemd/system/kamailio_exporter.service":  "systemd/kamailio_exporter.service",
		"/usr/lib/systemd/system/kamailio_exporter.socket":   "systemd/kamailio_exporter.socket",
		"/usr/lib/systemd/system/kamailio_exporter@.service": "systemd/kamailio_exporter@.service",
		docDir + "/LICENSE":                                  "../LICENSE",
		docDir + "/copyright":                                "../LICENSE",
		bashCompletions + "/kamailio_exporter":               "../bin/package/completion/bash/kamailio_exporter",
		bashCompletions + "/kamrpc":                          "../bin/package/completion/bash/kamrpc",
		zshDir + "/_kamailio_exporter":                       "../bin/package/completion/zsh/_kamailio_exporter",
		zshDir + "/_kamrpc":                                  "../bin/package/completion/zsh/_kamrpc",
		"/usr/share/man/man1/kamailio_exporter.1.gz":         "../bin/package/kamailio_exporter.1.gz",
		"/usr/share/man/man1/kamrpc.1.gz":                    "../bin/package/kamrpc.1.gz",
	}
	for _, document := range documents(t) {
		files[docDir+"/"+document] = "../" + document
	}
	return files
}

// postInstall returns the complete script that a kind of package runs after an installation.
func postInstall(t *testing.T, part string) string {
	t.Helper()
	return string(contents(t, "scripts/advise.sh")) + string(contents(t, "scripts/"+part))
}

// eachPackage runs a test for each platform that has packages.
func eachPackage(t *testing.T, test func(t *testing.T, p platform)) {
	dist(t)
	for _, p := range platforms {
		if p.deb != "" {
			t.Run(p.arch, func(t *testing.T) { test(t, p) })
		}
	}
}

func TestDebs(t *testing.T) {
	files := packaged(t, debianZshCompletions)
	files[docDir+"/changelog.gz"] = "../bin/package/changelog.gz"
	files["/usr/share/lintian/overrides/kamailio-exporter"] = "lintian-overrides"
	eachPackage(t, func(t *testing.T, p platform) {
		deb := only(t, "*_"+p.deb+".deb")
		version := strings.Replace(wantedStamp(t).version, "-", "~", 1)
		wantText(t, "the head", output(t, "dpkg-deb", "-W", "--showformat=${Package} ${Version} ${Architecture}", deb),
			"kamailio-exporter "+version+" "+p.deb)
		control, root := t.TempDir(), t.TempDir()
		output(t, "dpkg-deb", "-e", deb, control)
		wantText(t, "conffiles", string(contents(t, control+"/conffiles")), "/etc/default/kamailio_exporter\n")
		wantText(t, "postinst", string(contents(t, control+"/postinst")), postInstall(t, "deb-postinst.sh"))
		output(t, "cmp", control+"/prerm", "scripts/deb-prerm.sh")
		output(t, "cmp", control+"/postrm", "scripts/deb-postrm.sh")
		output(t, "dpkg-deb", "-x", deb, root)
		checkTree(t, root, files, p)
		checkLinks(t, root+docDir)
	})
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
	lines := []string{docDir + "/LICENSE  l--------- root root"} // nfpm sets no mode for a symbolic link, and Linux uses none
	for name := range packaged(t, zshCompletions) {
		switch filepath.Dir(name) {
		case "/usr/bin":
			lines = append(lines, name+"  -rwxr-xr-x root root")
		case "/etc/default": // c and n: a configuration file that an upgrade does not replace
			lines = append(lines, name+" cn -rw-r--r-- root root")
		default:
			if name != docDir+"/LICENSE" {
				lines = append(lines, name+"  -rw-r--r-- root root")
			}
		}
	}
	for _, dir := range []string{"", "/docs", "/docs/images", "/docs/runbooks", "/examples", "/mixin", "/mixin/dashboards", "/packaging", "/packaging/kubernetes"} {
		lines = append(lines, docDir+dir+"  drwxr-xr-x root root")
	}
	for _, dir := range []string{path.Dir(bashCompletions), bashCompletions, path.Dir(zshCompletions), zshCompletions} {
		lines = append(lines, dir+"  drwxr-xr-x root root")
	}
	slices.Sort(lines)
	eachPackage(t, func(t *testing.T, p platform) {
		for format, want := range map[string]string{
			"%{NAME} %{VERSION} %{ARCH}": "kamailio-exporter " + version + " " + p.rpm,
			`[%{FILENAMES} %{FILEFLAGS:fflags} %{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME}\n]`: strings.Join(lines, "\n"),
			"%{POSTIN}":    postInstall(t, "rpm-post.sh"),
			"%{PREUN}":     string(contents(t, "scripts/rpm-preun.sh")),
			"%{POSTUN}":    string(contents(t, "scripts/rpm-postun.sh")),
			"%{BUILDHOST}": "localhost",
		} {
			wantText(t, format, rpm(t, "-qp", "--qf", format, only(t, "*."+p.rpm+".rpm")), want)
		}
	})
}

func TestAPKs(t *testing.T) {
	files := packaged(t, zshCompletions)
	files["/etc/init.d/kamailio_exporter"] = "openrc/kamailio_exporter"
	eachPackage(t, func(t *testing.T, p platform) {
		root := unpack(t, "*_pre_"+p.apk+".apk")
		text := func(name string) string { return string(contents(t, filepath.Join(root, name))) }
		wantText(t, ".post-install", text(".post-install"), postInstall(t, "apk-post-install.sh"))
		wantText(t, ".post-upgrade", text(".post-upgrade"), postInstall(t, "apk-post-install.sh"))
		wantText(t, ".pre-deinstall", text(".pre-deinstall"), string(contents(t, "scripts/apk-pre-deinstall.sh")))
		wantWords(t, ".PKGINFO", text(".PKGINFO"), []string{"pkgname = kamailio-exporter\n", "arch = " + p.apk + "\n"})
		for _, name := range []string{".post-install", ".post-upgrade", ".pre-deinstall", ".PKGINFO"} {
			if err := os.Remove(filepath.Join(root, name)); err != nil {
				t.Error(err)
			}
		}
		checkTree(t, root, files, p)
	})
}

var shellcheck = debian.Set{Name: "shellcheck", Packages: []string{"shellcheck"}, Programs: []string{"shellcheck"}}

func TestShellScripts(t *testing.T) {
	check := tool(t, shellcheck, "shellcheck")
	for _, pattern := range []string{"scripts/*.sh", "*.sh", "../internal/lab/debian/*.sh"} {
		scripts, err := filepath.Glob(pattern)
		if err != nil || len(scripts) == 0 {
			t.Errorf("scripts %s: %q, %v", pattern, scripts, err)
		}
		for _, script := range scripts {
			if name := filepath.Base(script); name == "deb-postinst.sh" || strings.HasSuffix(name, "-post.sh") || name == "apk-post-install.sh" {
				script = filepath.Join(t.TempDir(), name)
				writeFile(t, script, postInstall(t, name))
			}
			output(t, check, "--shell=sh", script)
		}
	}
	// OpenRC reads the variables, and the file with the flags is not here.
	output(t, check, "--shell=sh", "--exclude=SC2034,SC1091", "openrc/kamailio_exporter")
}
