package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMutants has one line of code a row, in a function.
func TestMutants(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string // the line in each mutant
	}{
		{"x = a < b", []string{"x = a <= b", "x = a >= b"}},
		{"x = a >= b", []string{"x = a > b", "x = a < b"}},
		{"x = a == -b", []string{"x = a != -b", "x = a == b"}},
		{"x = a && !b", []string{"x = !a && !b", "x = a || !b", "x = a && b"}},
		{"x = a<<1 | f(b%c)", []string{"x = a>>1 | f(b%c)", "x = a<<1 & f(b%c)", "x = a<<1 | f(b*c)"}},
		{"x += a", []string{"x -= a", "x = a"}},
		{"x++", []string{"x--"}},
		{"f(x)", []string{""}},
		{"if x {", []string{"if !x {"}},
		{"for x.y {", []string{"for !x.y {"}},
		{"switch { case x, a > b: {", []string{"switch { case !x, a > b: {", "switch { case x, a >= b: {", "switch { case x, a <= b: {"}},
		{"switch x { case f(x): {", nil},
		{"x := f(a)", nil},
	} {
		source := "package p\nfunc g() {\n" + test.line + "\n" + strings.Repeat("}", strings.Count(test.line, "{")) + "\n}\n"
		mutants, err := mutantsOf("p.go", []byte(source))
		if err != nil {
			t.Fatalf("%s: %v", test.line, err)
		}
		var got []string
		for _, m := range mutants {
			got = append(got, strings.Split(string(m.apply()), "\n")[2])
			if m.number != 3 || m.line != test.line {
				t.Errorf("%s: the mutant %+v has another line", test.line, m.place)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.line, got, test.want)
		}
	}
}

// TestPlacesAreUnique has equal changes in equal lines.
func TestPlacesAreUnique(t *testing.T) {
	mutants, err := mutantsOf("p.go", []byte("package p\nvar a = 1 + 2 + 3\nfunc f() {\n\tx++\n\tx++\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[place]bool{}
	for _, m := range mutants {
		got[m.place] = true
	}
	for _, want := range []place{
		{"p.go", "var a = 1 + 2 + 3", "+ to -", 0}, {"p.go", "var a = 1 + 2 + 3", "+ to -", 1},
		{"p.go", "x++", "++ to --", 0}, {"p.go", "x++", "++ to --", 1},
	} {
		if !got[want] {
			t.Errorf("no mutant at %+v", want)
		}
	}
	if len(mutants) != 4 || len(got) != 4 {
		t.Errorf("%d mutants at %d places, want 4 at 4", len(mutants), len(got))
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	write(t, root, "p/a.go", "package p\nvar a = 1 + 2\nvar b = 3 * 4\n")
	write(t, root, "p/b.go", "package p\nvar c = 1 - 2\n")
	write(t, root, "p/b_test.go", "package p\nvar d = 5 - 6\n")
	write(t, root, "p/b_plan9.go", "package p\nvar e = 7 - 8\n")
	for argument, want := range map[string][]string{
		"./p":      {"+ to -", "* to /", "- to +"},
		"p/a.go":   {"+ to -", "* to /"},
		"p/a.go:3": {"* to /"},
		"p/a.go:1": nil,
	} {
		mutants, dir, err := find(root, argument)
		if err != nil || dir != "p" {
			t.Errorf("%s: directory %s, error %v", argument, dir, err)
		}
		var got []string
		for _, m := range mutants {
			got = append(got, m.change)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", argument, got, want)
		}
	}
	if _, _, err := find(root, "q"); err == nil {
		t.Error("found a directory that does not exist")
	}
}

func write(t *testing.T, root, file, text string) {
	t.Helper()
	path := filepath.Join(root, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSurvivors checks that the list fits the code.
func TestSurvivors(t *testing.T) {
	if len(survivors) > maxSurvivors {
		t.Errorf("the list has %d survivors, at most %d are allowed", len(survivors), maxSurvivors)
	}
	seen := map[place]bool{}
	for _, s := range survivors {
		mutants, _, err := find("../..", s.file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(mutants, func(m mutant) bool { return m.place == s.place }) {
			t.Errorf("the code has no place %+v", s.place)
		}
		if seen[s.place] || !strings.HasSuffix(s.reason, ".") {
			t.Errorf("%+v is in the list twice, or the reason %q is not a sentence", s.place, s.reason)
		}
		seen[s.place] = true
	}
}
