package main

import (
	"testing"
	"time"
)

// source is a package in which the mutant "> to >=" survives, because it adds 0.
const source = `package p

func Sum(n int) (sum int, text string) {
	for i := n; i > 0; {
		sum += i
		i--
	}
	return sum, "a" + "b"
}
`

// newModule returns the directory of a module with one package and one test.
func newModule(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a program for each mutant")
	}
	root := t.TempDir()
	write(t, root, "go.mod", "module example.org/m\n\ngo 1.26\n")
	write(t, root, "p/p.go", source)
	write(t, root, "p/p_test.go", `package p

import "testing"

func TestSum(t *testing.T) {
	if sum, _ := Sum(3); sum != 6 {
		t.Fatal(sum)
	}
}
`)
	return root
}

func TestOutcomes(t *testing.T) {
	root := newModule(t)
	mutants, dir, err := find(root, "p")
	if err != nil {
		t.Fatal(err)
	}
	tests := &tester{root: root, dir: dir, scratch: t.TempDir()}
	if err := tests.prepare(t.Context()); err != nil || tests.timeout < time.Minute {
		t.Fatalf("timeout %v, error %v", tests.timeout, err)
	}
	want := map[string]outcome{
		"> to >=":  survived,
		"> to <=":  killed,
		"+= to -=": killed,
		"+= to =":  killed,
		"-- to ++": timedOut, // takes years
		"+ to -":   invalid,  // strings
	}
	for n, m := range mutants {
		tests.timeout = time.Minute
		if want[m.change] == timedOut {
			tests.timeout = time.Second
		}
		if got, err := tests.test(t.Context(), m, n); err != nil || got != want[m.change] {
			t.Errorf("%s %s, error %v; want: %s", m.change, got, err, want[m.change])
		}
	}
	if len(mutants) != len(want) {
		t.Errorf("%d mutants, want %d", len(mutants), len(want))
	}
}

// TestCheck compares the two mutants of a line with a correct list and with a wrong one.
func TestCheck(t *testing.T) {
	root := newModule(t)
	before := survivors
	t.Cleanup(func() { survivors = before })
	alive := survivor{place: place{"p/p.go", "for i := n; i > 0; {", "> to >=", 0}}
	dead := survivor{place: place{"p/p.go", "for i := n; i > 0; {", "> to <=", 0}}
	for want, list := range map[int][]survivor{0: {alive}, 2: {dead}} {
		survivors = list
		if got, err := check(t.Context(), root, "p/p.go:4", 2); err != nil || got != want {
			t.Errorf("%d faults and error %v with the list %v, want %d", got, err, list, want)
		}
	}
}

func TestCheckNeedsTestsThatPass(t *testing.T) {
	root := newModule(t)
	write(t, root, "p/p.go", "package p\n\nfunc Sum(n int) (int, string) { return n + 1, \"\" }\n")
	if _, err := check(t.Context(), root, "p", 1); err == nil {
		t.Error("tests that fail without a change were accepted")
	}
}
