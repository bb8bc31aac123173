//go:build linux

package packaging

import (
	"debug/buildinfo"
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// platform is a platform of the release: Go's names, the names that each kind of package has for the architecture, and what
// file(1) prints of a program.
type platform struct{ os, arch, arm, deb, rpm, apk, file string }

var platforms = []platform{
	{"linux", "amd64", "", "amd64", "x86_64", "x86_64", `^ELF 64-bit LSB .*x86-64.*\(SYSV\), statically linked`},
	{"linux", "arm64", "", "arm64", "aarch64", "aarch64", `^ELF 64-bit LSB .*aarch64.*\(SYSV\), statically linked`},
	{"linux", "arm", "7", "armhf", "armv7hl", "armv7", `^ELF 32-bit LSB .*ARM, EABI5.*\(SYSV\), statically linked`},
	{"linux", "386", "", "i386", "i386", "x86", `^ELF 32-bit LSB .*80386.*\(SYSV\), statically linked`},
	{"linux", "ppc64le", "", "ppc64el", "ppc64le", "ppc64le", `^ELF 64-bit LSB .*64-bit PowerPC.*\(SYSV\), statically linked`},
	{"linux", "s390x", "", "s390x", "s390x", "s390x", `^ELF 64-bit MSB .*S/390.*\(SYSV\), statically linked`},
	{"linux", "riscv64", "", "riscv64", "riscv64", "riscv64", `^ELF 64-bit LSB .*RISC-V.*\(SYSV\), statically linked`},
	{"darwin", "amd64", "", "", "", "", `^Mach-O 64-bit x86_64 executable`},
	{"darwin", "arm64", "", "", "", "", `^Mach-O 64-bit arm64 executable`},
	{"freebsd", "amd64", "", "", "", "", `^ELF 64-bit LSB .*x86-64.*\(FreeBSD\), statically linked`},
	{"freebsd", "arm64", "", "", "", "", `^ELF 64-bit LSB .*aarch64.*\(FreeBSD\), statically linked`},
	{"windows", "amd64", "", "", "", "", `^PE32\+ .*x86-64`},
	{"windows", "arm64", "", "", "", "", `^PE32\+ .*Aarch64`},
}

// suffix returns the version and the platform as names of files have them.
func (p platform) suffix(t *testing.T) string {
	t.Helper()
	suffix := "-" + wantedStamp(t).version + "." + p.os + "-" + p.arch
	if p.arm != "" {
		suffix += "v" + p.arm
	}
	return suffix
}

// thisPlatform returns the platform of this machine.
func thisPlatform(t *testing.T) platform {
	t.Helper()
	i := slices.IndexFunc(platforms, func(p platform) bool { return p.os == "linux" && p.arch == runtime.GOARCH })
	if i < 0 {
		t.Skip("SKIPPED: the release has nothing for this machine")
	}
	return platforms[i]
}

// unpack unpacks the archive or the apk of the release that matches a pattern, and returns the directory.
func unpack(t *testing.T, pattern string) string {
	t.Helper()
	dir := t.TempDir()
	output(t, "tar", "--warning=no-unknown-keyword", "-xzf", only(t, pattern), "-C", dir)
	return dir
}

func TestArchives(t *testing.T) {
	if archives, err := filepath.Glob(filepath.Join(dist(t), "*.tar.gz")); err != nil || len(archives) != len(platforms) {
		t.Errorf("archives %q, %v; want %d", archives, err, len(platforms))
	}
	for _, p := range platforms {
		t.Run(p.os+"-"+p.arch, func(t *testing.T) {
			name, exe := "kamailio_exporter"+p.suffix(t), ""
			if p.os == "windows" {
				exe = ".exe"
			}
			files := map[string]string{
				"/LICENSE":                    "../LICENSE",
				"/kamailio_exporter.default":  "kamailio_exporter.default",
				"/kamailio_exporter.service":  "systemd/kamailio_exporter.service",
				"/kamailio_exporter@.service": "systemd/kamailio_exporter@.service",
				"/kamailio_exporter.socket":   "systemd/kamailio_exporter.socket",
				"/kamailio_exporter" + exe:    "",
				"/kamrpc" + exe:               "",

				"/completion/bash/kamailio_exporter": "../bin/package/completion/bash/kamailio_exporter",
				"/completion/bash/kamrpc":            "../bin/package/completion/bash/kamrpc",
				"/completion/zsh/_kamailio_exporter": "../bin/package/completion/zsh/_kamailio_exporter",
				"/completion/zsh/_kamrpc":            "../bin/package/completion/zsh/_kamrpc",
			}
			for _, document := range documents(t) {
				files["/"+document] = "../" + document
			}
			dir := filepath.Join(unpack(t, name+".tar.gz"), name)
			checkTree(t, dir, files, p)
			checkLinks(t, dir)
			for line := range strings.Lines(output(t, "tar", "-tvzf", only(t, name+".tar.gz"))) {
				fields := strings.Fields(line) // mode, owner, size, date, time, path
				mode := "-rw-r--r--"
				if files[strings.TrimPrefix(fields[5], name)] == "" {
					mode = "-rwxr-xr-x"
				}
				if fields[0] != mode || fields[1] != "root/root" {
					t.Errorf("mode and owner of %s, want %s root/root", line, mode)
				}
			}
			for _, program := range []string{"kamailio_exporter", "kamrpc"} {
				path := filepath.Join(dir, program+exe)
				if kind := output(t, "file", "--brief", path); !regexp.MustCompile(p.file).MatchString(kind) {
					t.Errorf("%s is %s", program, kind)
				}
				checkBillOfMaterials(t, only(t, program+p.suffix(t)+".cdx.json"), path)
			}
		})
	}
}

// checkTree checks that a directory has these files and no others. Each is a copy of another one, or a program of the platform.
func checkTree(t *testing.T, dir string, files map[string]string, p platform) {
	t.Helper()
	found := strings.Fields(output(t, "find", dir, "-not", "-type", "d", "-printf", `/%P\n`))
	slices.Sort(found)
	if want := slices.Sorted(maps.Keys(files)); !slices.Equal(found, want) {
		t.Fatalf("it has %q, want %q", found, want)
	}
	for name, source := range files {
		if source == "" {
			checkProgram(t, dir+name, p)
		} else {
			output(t, "cmp", dir+name, source)
		}
	}
}

// checkProgram checks the build information and the stamp of a program.
func checkProgram(t *testing.T, path string, p platform) {
	t.Helper()
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name, want := strings.TrimSuffix(filepath.Base(path), ".exe"), wantedStamp(t)
	lines := []string{"/cmd/" + name + "\n", "\tGOOS=" + p.os + "\n", "\tGOARCH=" + p.arch + "\n", "\tCGO_ENABLED=0\n", "\t-trimpath=true\n"}
	if p.arm != "" {
		lines = append(lines, "\tGOARM="+p.arm+"\n")
	}
	wantWords(t, path, info.String(), lines)
	if name == "kamailio_exporter" { // kamrpc has no version
		wantWords(t, path, string(contents(t, path)), []string{want.version, want.revision, want.date})
	}
}

// checkBillOfMaterials compares a document with the build information of the program. It must have no time and no serial
// number, which would differ in each build.
func checkBillOfMaterials(t *testing.T, path, program string) {
	t.Helper()
	var document struct {
		BOMFormat, SerialNumber string
		Metadata                struct{ Timestamp string }
		Components              []struct{ PURL string }
	}
	if err := json.Unmarshal(contents(t, path), &document); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if document.BOMFormat != "CycloneDX" || document.SerialNumber != "" || document.Metadata.Timestamp != "" {
		t.Errorf("%s: format %q, serial number %q, time %q", path, document.BOMFormat, document.SerialNumber, document.Metadata.Timestamp)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{"pkg:golang/std@" + info.GoVersion: true}
	for _, d := range info.Deps {
		wanted["pkg:golang/"+d.Path+"@"+d.Version] = true
	}
	listed := make(map[string]bool)
	for _, c := range document.Components {
		listed[c.PURL] = true
	}
	if !maps.Equal(listed, wanted) {
		t.Errorf("%s lists %v, want %v", path, listed, wanted)
	}
}

// exporter unpacks this machine's exporter from its archive and returns its path.
func exporter(t *testing.T) string {
	t.Helper()
	name := "kamailio_exporter" + thisPlatform(t).suffix(t)
	return filepath.Join(unpack(t, name+".tar.gz"), name, "kamailio_exporter")
}

func TestVersion(t *testing.T) {
	want := wantedStamp(t)
	wantWords(t, "--version", output(t, exporter(t), "--version"), []string{
		"kamailio_exporter, version " + want.version + " (branch: " + want.branch + ", revision: " + want.revision + ")",
		"build date:       " + want.date,
	})
}

func TestChecksums(t *testing.T) {
	shell := func(script string) string {
		return output(t, "sh", "-e", "-c", "cd \"$0\"; export LC_ALL=C; "+script, dist(t))
	}
	released := shell("ls *.tar.gz *.deb *.rpm *.apk *.cdx.json | sort | sed 's/$/: OK/'")
	if checked := shell("sha256sum --check sha256sums.txt | sort"); checked != released {
		t.Errorf("sha256sum --check prints\n%s\nwant\n%s", checked, released)
	}
}
