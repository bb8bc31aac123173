package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// outcome is what the tests of a package say about a mutant.
type outcome string

const (
	survived outcome = "survives"         // all tests pass
	killed   outcome = "is killed"        // a test fails
	timedOut outcome = "does not end"     // counted as killed
	invalid  outcome = "does not compile" // not counted
)

// tester builds and runs the tests of a package.
type tester struct {
	root    string        // absolute path of the repository
	dir     string        // of the package, from root
	scratch string        // a directory for temporary files
	timeout time.Duration // after which the tests are ended, 0 if they may take any time
}

// prepare runs the tests of the unchanged package, and sets the timeout: ten times as
// long as they take, at least a minute.
func (t *tester) prepare(ctx context.Context) error {
	start := time.Now()
	program := filepath.Join(t.scratch, "unchanged.test")
	if output, err := t.build(ctx, program, ""); err != nil {
		return fmt.Errorf("build the tests of %s: %w\n%s", t.dir, err, output)
	}
	if output, err := t.run(ctx, program); err != nil {
		return fmt.Errorf("run the tests of %s: %w\n%s", t.dir, err, output)
	}
	t.timeout = max(10*time.Since(start), time.Minute)
	return nil
}

// test returns what the tests say about a mutant; n is a number that no other mutant
// has.
func (t *tester) test(ctx context.Context, m mutant, n int) (outcome, error) {
	stem := filepath.Join(t.scratch, strconv.Itoa(n))
	overlay, err := t.overlay(m, stem)
	if err != nil {
		return "", err
	}
	program := stem + ".test"
	defer os.Remove(program) //nolint:errcheck // it does not exist if the build failed
	if _, err := t.build(ctx, program, overlay); err != nil {
		return invalid, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	_, err = t.run(limited, program)
	switch _, failed := errors.AsType[*exec.ExitError](err); {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case limited.Err() != nil:
		return timedOut, nil
	case failed:
		return killed, nil
	default:
		return survived, err
	}
}

// overlay writes the changed file and a file for the flag -overlay of the go command.
func (t *tester) overlay(m mutant, stem string) (string, error) {
	changed, overlay := stem+".go", stem+".json"
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(t.root, m.file): changed}})
	if err != nil {
		return "", err
	}
	return overlay, errors.Join(os.WriteFile(changed, m.apply(), 0o600), os.WriteFile(overlay, replace, 0o600))
}

// build builds the tests without debug information, which halves the time of the linker.
func (t *tester) build(ctx context.Context, program, overlay string) ([]byte, error) {
	build := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-w", "-o", program, "-overlay", overlay, "./"+t.dir)
	build.Dir = t.root
	return build.CombinedOutput()
}

// run runs the tests with at most 8 GB of memory, because a mutant may allocate without
// end.
func (t *tester) run(ctx context.Context, program string) ([]byte, error) {
	tests := exec.CommandContext(ctx, "sh", "-c", `ulimit -v 8000000; exec "$0" -test.short -test.failfast`, program)
	tests.Dir = filepath.Join(t.root, t.dir)
	tests.WaitDelay = 10 * time.Second
	var output bytes.Buffer
	tests.Stdout, tests.Stderr = &output, &output
	err := tests.Run()
	return output.Bytes(), err
}
