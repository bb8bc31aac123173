//go:build linux

package packaging

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// platforms are the platforms of the release, each with a check of its programs.
var platforms = []struct {
	os, arch, arm string
	isFor         func([]byte) error
}{
	{"linux", "amd64", "", isELF(elf.EM_X86_64, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ELFOSABI_NONE)},
	{"linux", "arm64", "", isELF(elf.EM_AARCH64, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ELFOSABI_NONE)},
	{"linux", "arm", "7", isELF(elf.EM_ARM, elf.ELFCLASS32, elf.ELFDATA2LSB, elf.ELFOSABI_NONE)},
	{"linux", "386", "", isELF(elf.EM_386, elf.ELFCLASS32, elf.ELFDATA2LSB, elf.ELFOSABI_NONE)},
	{"linux", "ppc64le", "", isELF(elf.EM_PPC64, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ELFOSABI_NONE)},
	{"linux", "s390x", "", isELF(elf.EM_S390, elf.ELFCLASS64, elf.ELFDATA2MSB, elf.ELFOSABI_NONE)},
	{"linux", "riscv64", "", isELF(elf.EM_RISCV, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ELFOSABI_NONE)},
	{"darwin", "amd64", "", isMachO(macho.CpuAmd64)},
	{"darwin", "arm64", "", isMachO(macho.CpuArm64)},
	{"freebsd", "amd64", "", isELF(elf.EM_X86_64, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ELFOSABI_FREEBSD)},
	{"freebsd", "arm64", "", isELF(elf.EM_AARCH64, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ELFOSABI_FREEBSD)},
	{"windows", "amd64", "", isPE(pe.IMAGE_FILE_MACHINE_AMD64)},
	{"windows", "arm64", "", isPE(pe.IMAGE_FILE_MACHINE_ARM64)},
}

func isELF(machine elf.Machine, class elf.Class, data elf.Data, abi elf.OSABI) func([]byte) error {
	return func(program []byte) error {
		file, err := elf.NewFile(bytes.NewReader(program))
		if err != nil {
			return err
		}
		if file.Machine != machine || file.Class != class || file.Data != data || file.OSABI != abi {
			return fmt.Errorf("it is for %v", file.FileHeader)
		}
		if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
			return fmt.Errorf("it needs the libraries %q, %w", libraries, err)
		}
		return nil
	}
}

func isMachO(cpu macho.Cpu) func([]byte) error {
	return func(program []byte) error {
		file, err := macho.NewFile(bytes.NewReader(program))
		if err == nil && file.Cpu != cpu {
			err = fmt.Errorf("it is for %v", file.Cpu)
		}
		return err
	}
}

func isPE(machine uint16) func([]byte) error {
	return func(program []byte) error {
		file, err := pe.NewFile(bytes.NewReader(program))
		if err == nil && file.Machine != machine {
			err = fmt.Errorf("it is for machine %#x", file.Machine)
		}
		return err
	}
}

// member is a file in an archive.
type member struct {
	header  *tar.Header
	content []byte
}

// members reads a tar, compressed by gzip in one piece or in several, such as an apk's.
func members(t *testing.T, path string) map[string]member {
	t.Helper()
	unzipped, err := gzip.NewReader(bytes.NewReader(contents(t, path)))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	found := make(map[string]member)
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		found[header.Name] = member{header, content}
	}
}

func TestArchives(t *testing.T) {
	want := wantedStamp(t)
	archives, err := filepath.Glob(filepath.Join(dist(t), "*.tar.gz"))
	if err != nil || len(archives) != len(platforms) {
		t.Errorf("archives %q, %v; want %d", archives, err, len(platforms))
	}
	for _, p := range platforms {
		name := fmt.Sprintf("kamailio_exporter-%s.%s-%s", want.version, p.os, p.arch)
		suffix := ""
		if p.arm != "" {
			name += "v" + p.arm
		}
		if p.os == "windows" {
			suffix = ".exe"
		}
		t.Run(p.os+"-"+p.arch, func(t *testing.T) {
			found := members(t, only(t, name+".tar.gz"))
			files := map[string]string{
				"LICENSE":                   "../LICENSE",
				"kamailio_exporter.default": "kamailio_exporter.default",
				"kamailio_exporter.service": "systemd/kamailio_exporter.service",
				"kamailio_exporter.socket":  "systemd/kamailio_exporter.socket",
			}
			for _, document := range documents(t) {
				files[document] = "../" + document
			}
			checkFiles(t, found, name, files, "kamailio_exporter"+suffix, "kamrpc"+suffix)
			unpacked := make(map[string][]byte)
			for path, m := range found {
				unpacked[path] = m.content
			}
			checkLinks(t, unpacked, name)
			for _, program := range []string{"kamailio_exporter", "kamrpc"} {
				content := found[name+"/"+program+suffix].content
				checkProgram(t, content, program, p.os, p.arch, p.arm, want)
				if err := p.isFor(content); err != nil {
					t.Errorf("%s: %v", program, err)
				}
				checkBillOfMaterials(t, only(t, program+strings.TrimPrefix(name, "kamailio_exporter")+".cdx.json"), content)
			}
		})
	}
}

// checkFiles checks that an archive has these files and programs in one directory, and nothing else.
func checkFiles(t *testing.T, found map[string]member, dir string, files map[string]string, programs ...string) {
	t.Helper()
	names := slices.Concat(slices.Collect(maps.Keys(files)), programs)
	for i, name := range names {
		names[i] = dir + "/" + name
	}
	slices.Sort(names)
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, names) {
		t.Fatalf("it has %q, want %q", got, names)
	}
	for name, m := range found {
		mode := int64(0o644)
		if slices.Contains(programs, filepath.Base(name)) {
			mode = 0o755
		}
		if m.header.Mode != mode || m.header.Uname != "root" || m.header.Gname != "root" {
			t.Errorf("%s: mode %o, owner %s:%s", name, m.header.Mode, m.header.Uname, m.header.Gname)
		}
	}
	for name, source := range files {
		sameFile(t, name, found[dir+"/"+name].content, source)
	}
}

// checkProgram checks the build information and the stamp of a program.
func checkProgram(t *testing.T, program []byte, name, goos, goarch, goarm string, want stamp) {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	wanted := map[string]string{"GOOS": goos, "GOARCH": goarch, "GOARM": goarm, "CGO_ENABLED": "0", "-trimpath": "true"}
	for key, value := range wanted {
		if settings[key] != value {
			t.Errorf("%s: %s=%s, want %s", name, key, settings[key], value)
		}
	}
	if !strings.HasSuffix(info.Path, "/cmd/"+name) {
		t.Errorf("%s is %s", name, info.Path)
	}
	if name != "kamailio_exporter" {
		return // kamrpc has no version
	}
	for _, part := range []string{want.version, want.revision, want.date} {
		if !bytes.Contains(program, []byte(part)) {
			t.Errorf("%s does not have %s in it", name, part)
		}
	}
}

func TestVersion(t *testing.T) {
	want := wantedStamp(t)
	said := output(t, exporter(t), "--version")
	for _, part := range []string{
		"kamailio_exporter, version " + want.version + " (branch: " + want.branch + ", revision: " + want.revision + ")",
		"build date:       " + want.date,
	} {
		if !strings.Contains(said, part) {
			t.Errorf("--version does not say %q:\n%s", part, said)
		}
	}
}

// exporter unpacks this machine's exporter from its archive and returns its path.
func exporter(t *testing.T) string {
	t.Helper()
	arch := runtime.GOARCH
	if arch == "arm" {
		arch += "v7"
	}
	name := fmt.Sprintf("kamailio_exporter-%s.linux-%s", wantedStamp(t).version, arch)
	path := filepath.Join(t.TempDir(), "kamailio_exporter")
	content := members(t, only(t, name+".tar.gz"))[name+"/kamailio_exporter"].content
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestChecksums(t *testing.T) {
	sums := make(map[string]string)
	for line := range strings.Lines(string(contents(t, filepath.Join(dist(t), "sha256sums.txt")))) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		sums[name] = sum
	}
	entries, err := os.ReadDir(dist(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !isReleased(entry) {
			continue
		}
		sum := sha256.Sum256(contents(t, filepath.Join(dist(t), entry.Name())))
		if sums[entry.Name()] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s has sum %x, sha256sums.txt says %q", entry.Name(), sum, sums[entry.Name()])
		}
		delete(sums, entry.Name())
	}
	if len(sums) > 0 {
		t.Errorf("sha256sums.txt has sums of files that do not exist: %v", sums)
	}
}

// isReleased reports whether a file in dist is for users.
func isReleased(entry fs.DirEntry) bool {
	return slices.ContainsFunc([]string{".tar.gz", ".deb", ".rpm", ".apk", ".cdx.json"}, func(suffix string) bool {
		return strings.HasSuffix(entry.Name(), suffix)
	})
}

// checkBillOfMaterials compares a document with the build information of the program. It must have no time and no serial
// number, which would differ in each build.
func checkBillOfMaterials(t *testing.T, path string, program []byte) {
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
	info, err := buildinfo.Read(bytes.NewReader(program))
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
