// Command sbom writes the bill of materials of a release's archive: which Go modules, of which version, each of its
// programs was built from, as Go's linker recorded it in the program itself. The format is CycloneDX 1.5 in JSON. The same
// archive gives the same document: there is neither a date nor a serial number in it.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime/debug"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "Usage: sbom ARCHIVE.tar.gz DOCUMENT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(archive, document string) error {
	programs, err := readPrograms(archive)
	if err != nil {
		return fmt.Errorf("read %s: %w", archive, err)
	}
	text, err := json.MarshalIndent(newDocument(path.Base(archive), programs), "", "  ")
	if err != nil {
		return fmt.Errorf("encode the bill of materials: %w", err)
	}
	if err := os.WriteFile(document, append(text, '\n'), 0o644); err != nil { //nolint:gosec // where to is the caller's choice, and everybody may read it
		return fmt.Errorf("write the bill of materials: %w", err)
	}
	return nil
}

// program is one Go program in an archive.
type program struct {
	name   string
	sha256 string // in hexadecimal
	info   *debug.BuildInfo
}

// maxProgram bounds how much of one file of an archive is held in memory.
const maxProgram = 256 << 20

// readPrograms returns the Go programs in a tar.gz archive. It is an error if there is none.
func readPrograms(archive string) ([]program, error) {
	file, err := os.Open(archive) //nolint:gosec // which file is the caller's choice
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	var programs []program
	for members := tar.NewReader(unzipped); ; {
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if header.FileInfo().Mode().Perm()&0o111 == 0 || !header.FileInfo().Mode().IsRegular() {
			continue
		}
		content, err := io.ReadAll(io.LimitReader(members, maxProgram))
		if err != nil {
			return nil, err
		}
		info, err := buildinfo.Read(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("%s is no Go program: %w", header.Name, err)
		}
		sum := sha256.Sum256(content)
		programs = append(programs, program{path.Base(header.Name), hex.EncodeToString(sum[:]), info})
	}
	if len(programs) == 0 {
		return nil, errors.New("there is no program in it")
	}
	return programs, nil
}

// These are the parts of CycloneDX that are used here; see https://cyclonedx.org/docs/1.5/json/.
type (
	document struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Type    string `json:"type"`
		Ref     string `json:"bom-ref"`
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
		PURL    string `json:"purl,omitempty"`
		Hashes  []hash `json:"hashes,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

func newDocument(archive string, programs []program) document {
	d := document{
		Format: "CycloneDX", SpecVersion: "1.5", Version: 1,
		Metadata: metadata{component{Type: "file", Ref: archive, Name: archive}},
	}
	whole := dependency{Ref: archive}
	listed := make(map[string]bool)
	for _, p := range programs {
		whole.DependsOn = append(whole.DependsOn, p.name)
		d.Components = append(d.Components, component{
			Type: "application", Ref: p.name, Name: p.info.Path,
			Hashes: []hash{{"SHA-256", p.sha256}},
		})
		needs := dependency{Ref: p.name}
		for _, module := range modules(p.info) {
			needs.DependsOn = append(needs.DependsOn, module.Ref)
			if !listed[module.Ref] {
				listed[module.Ref] = true
				d.Components = append(d.Components, module)
			}
		}
		d.Dependencies = append(d.Dependencies, needs)
	}
	d.Dependencies = append(d.Dependencies, whole)
	return d
}

// modules are those that a program was built from, and Go's standard library.
func modules(info *debug.BuildInfo) []component {
	all := []component{newModule("std", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		all = append(all, newModule(module.Path, module.Version, module.Sum))
	}
	return all
}

// newModule describes a Go module; sum is as in go.sum, empty if there is none.
func newModule(name, version, sum string) component {
	purl := "pkg:golang/" + name + "@" + version
	module := component{Type: "library", Ref: purl, Name: name, Version: version, PURL: purl}
	if digest, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && len(digest) == sha256.Size {
		module.Hashes = []hash{{"SHA-256", hex.EncodeToString(digest)}}
	}
	return module
}
