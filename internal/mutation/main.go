// Command mutation changes one operator, condition or statement of a package at a time,
// and checks that a test fails. Each of these changes is a mutant. A test that fails
// kills it; a mutant that survives shows code that no test needs.
//
// The arguments are directories of packages, files, or lines of files, from the root of
// the repository, which is the working directory:
//
//	go run ./internal/mutation rpc/binrpc rpc/jsonrpc/parse.go rpc/jsonrpc/client.go:120
//
// The program fails if a mutant survives that is not in the list in survivors.go, or if
// a mutant in the list does not survive. Tests run with -short.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

func main() {
	workers := flag.Int("workers", 3*runtime.NumCPU(), "number of mutants that are tested at the same time; tests mostly wait")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	faults := 0
	for _, argument := range flag.Args() {
		n, err := check(ctx, ".", argument, *workers)
		if err != nil {
			fmt.Fprintf(os.Stderr, "mutation: test %s: %v\n", argument, err)
			os.Exit(1) //nolint:gocritic // the program ends without its signal handler
		}
		faults += n
	}
	if faults > 0 {
		fmt.Printf("%d mutants differ from the list in internal/mutation/survivors.go\n", faults)
		os.Exit(1)
	}
}

// check tests the mutants of an argument, and prints what does not agree with the list.
// It returns the number of these mutants.
func check(ctx context.Context, root, argument string, workers int) (int, error) {
	start := time.Now()
	mutants, dir, err := find(root, argument)
	if err != nil {
		return 0, err
	}
	if root, err = filepath.Abs(root); err != nil { // the go command needs absolute paths
		return 0, err
	}
	scratch, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // it is a temporary directory
	t := &tester{root: root, dir: dir, scratch: scratch}
	if err := t.prepare(ctx); err != nil {
		return 0, err
	}
	faults, count := 0, map[outcome]int{}
	err = testAll(ctx, t, mutants, workers, func(m mutant, o outcome) {
		count[o]++
		if (o == survived) != listed(m) {
			faults++
			fmt.Printf("%s:%d: %s:\n\t{place{%q, %#q, %q, %d}, \"\"},\n", m.file, m.number, o, m.file, m.line, m.change, m.nth)
		}
	})
	fmt.Printf("%s: %d mutants, %d killed, %d of them because the tests did not end within %v, %d survived; %d others did not compile; %v\n",
		argument, len(mutants)-count[invalid], count[killed]+count[timedOut], count[timedOut], t.timeout.Round(time.Second), count[survived],
		count[invalid], time.Since(start).Round(time.Second))
	return faults, err
}

// testAll tests mutants, and calls report for each, one call at a time, in the order in
// which they end. It returns the first error.
func testAll(ctx context.Context, t *tester, mutants []mutant, workers int, report func(mutant, outcome)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var mu sync.Mutex
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for n := range next {
				o, err := t.test(ctx, mutants[n], n)
				if err != nil {
					cancel(err)
					continue
				}
				mu.Lock()
				report(mutants[n], o)
				mu.Unlock()
			}
		})
	}
	for n := range mutants {
		next <- n
	}
	close(next)
	running.Wait()
	return context.Cause(ctx)
}
