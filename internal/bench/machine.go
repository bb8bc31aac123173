//go:build linux

package main

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// describeMachine is a line that says what the figures were measured with: processor, kernel, Go, Kamailio.
func describeMachine(ctx context.Context, program string, k *lab.Kamailio) (string, error) {
	processor, err := processorModel()
	if err != nil {
		return "", err
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", fmt.Errorf("read the kernel's version: %w", err)
	}
	build, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("read which Go built the exporter: %w", err)
	}
	client, err := dial.New(k.URI("unix"))
	if err != nil {
		return "", err
	}
	defer client.Close() //nolint:errcheck // it has answered
	version, err := rpc.One(ctx, client, "core.version")
	if err != nil {
		return "", fmt.Errorf("ask Kamailio for its version: %w", err)
	}
	return fmt.Sprintf("%s, %d cores, Linux %s, Go %s, %s", processor, runtime.NumCPU(), strings.TrimSpace(string(kernel)),
		strings.TrimPrefix(build.GoVersion, "go"), strings.TrimSpace(version.Text())), nil
}

// loadAverage is how many processes wanted to run, over the last fifteen minutes (proc(5)): other people's too, which is
// what makes figures differ.
func loadAverage() (string, error) {
	load, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(load))
	if err != nil || len(fields) < 3 {
		return "", fmt.Errorf("read the load average %q: %w", load, err)
	}
	return fields[2], nil
}

// processorModel is what the kernel calls the first processor. On some architectures it has no name for it.
func processorModel() (string, error) {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "", fmt.Errorf("read the processor's name: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value), nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("read the processor's name: %w", err)
	}
	return "unnamed " + runtime.GOARCH, nil
}
