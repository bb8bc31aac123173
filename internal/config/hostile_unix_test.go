//go:build unix

package config

import (
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestNamedPipes has a named pipe without a writer in place of each file. Opening it for reading would wait without end.
func TestNamedPipes(t *testing.T) {
	for content, want := range map[string]string{
		"":                                      "--config.file: FILE is not a regular file",
		"target_files: [pipe]":                  "c.yml:1: FILE is not a regular file",
		"target_files: ['p*']":                  "c.yml:1: FILE is not a regular file",
		"auths: {a: {bearer_token_file: pipe}}": "c.yml:1: FILE is not a regular file",
		"auths: {a: {tls_config: {ca_file: pipe}}}":            "c.yml:1: FILE is not a regular file",
		"auths: {a: {http_headers: {X-Key: {files: [pipe]}}}}": "c.yml:1: FILE is not a regular file",
	} {
		dir := writeFiles(t, map[string]string{"c.yml": content})
		pipe, file := filepath.Join(dir, "pipe"), filepath.Join(dir, "c.yml")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		if content == "" {
			file = pipe
		}
		_, err := Parse([]string{"--config.file", file})
		if err == nil || !strings.HasSuffix(strings.ReplaceAll(err.Error(), pipe, "FILE"), want) {
			t.Errorf("%q: error %v, want %q", content, err, want)
		}
	}
}

// TestNamedPipeInsteadOfFile opens a named pipe that has replaced a regular file after it was checked.
func TestNamedPipeInsteadOfFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := openWithoutWaiting(pipe)
	if err == nil {
		_ = file.Close()
	}
	if err == nil || err.Error() != pipe+" is not a regular file" {
		t.Errorf("error %v", err)
	}
}

// TestUnreadableDirectory has patterns for a directory that cannot be read. This must not mean that there are no targets.
func TestUnreadableDirectory(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("SKIPPED: root can read all directories")
	}
	for _, pattern := range []string{"t/u/*.yml", "t/*/a.yml", "*/*/*.yml", "t/u/*/a.yml", "t/*/v/*.yml"} {
		dir := writeFiles(t, map[string]string{"c.yml": "target_files: ['" + pattern + "']\n", "t/u/a.yml": "[]\n", "t/u/v/a.yml": "[]\n"})
		unreadable := filepath.Join(dir, "t", "u")
		if err := os.Chmod(unreadable, 0); err != nil {
			t.Fatal(err)
		}
		_, err := Parse([]string{"--config.file", filepath.Join(dir, "c.yml")})
		if err == nil || !strings.Contains(err.Error(), "c.yml:1: open "+unreadable) || !strings.HasSuffix(err.Error(), ": permission denied") {
			t.Errorf("%s: error %v", pattern, err)
		}
		if err := os.Chmod(unreadable, 0o700); err != nil { // so that the test can remove it
			t.Fatal(err)
		}
	}
}

// TestDirectoryThatCannotBeOpened has a directory that even root cannot open, because it is a symbolic link to itself.
func TestDirectoryThatCannotBeOpened(t *testing.T) {
	for _, pattern := range []string{"t/u/*.yml", "t/*/a.yml", "*/*/*.yml", "t/u/*/a.yml", "t/*/v/*.yml"} {
		dir := writeFiles(t, map[string]string{"c.yml": "target_files: ['" + pattern + "']\n", "t/file": ""})
		loop := filepath.Join(dir, "t", "u")
		if err := errors.Join(os.Symlink("u", loop), os.Symlink("none", filepath.Join(dir, "t", "dangling"))); err != nil {
			t.Fatal(err)
		}
		_, err := Parse([]string{"--config.file", filepath.Join(dir, "c.yml")})
		if err == nil || !strings.Contains(err.Error(), "c.yml:1: open "+loop) || !strings.HasSuffix(err.Error(), ": too many levels of symbolic links") {
			t.Errorf("%s: error %v", pattern, err)
		}
	}
}

// TestSocketInsteadOfFile has a socket, which cannot be opened.
func TestSocketInsteadOfFile(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if _, err := Parse([]string{"--config.file", socket}); err == nil || err.Error() != "--config.file: "+socket+" is not a regular file" {
		t.Errorf("error %v", err)
	}
}

// TestParseAgainLeaksNoFiles parses files that name others often, as reloads do, with and without errors.
func TestParseAgainLeaksNoFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: needs /proc")
	}
	descriptors := func() int {
		found, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	dir := writeFiles(t, map[string]string{
		"c.yml":     "auths: {a: {bearer_token_file: p, http_headers: {X-Key: {files: [p]}}}}\ntargets: [{name: a, uri: 'https://h/', auth: a}]\ntarget_files: ['t/*']\n",
		"wrong.yml": "auths: {a: {bearer_token_file: p, nosuch: 1}}\n",
		"t/a":       "[]\n",
		"p":         "x",
	})
	before := descriptors()
	for range 50 {
		if _, err := Parse([]string{"--config.file", filepath.Join(dir, "c.yml")}); err != nil {
			t.Fatal(err)
		}
		if _, err := Parse([]string{"--config.file", filepath.Join(dir, "wrong.yml")}); err == nil {
			t.Fatal("no error")
		}
	}
	if after := descriptors(); after > before+10 { // the runtime may open some
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

// TestSecretFileThatBecomesANamedPipe replaces each file of an auth after the configuration was read. The request fails at once,
// and the next one works when the file is back.
func TestSecretFileThatBecomesANamedPipe(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, auth := range map[string]string{
		"user":     "tls_config: {ca_file: ca}, basic_auth: {username_file: user, password_file: password}",
		"password": "tls_config: {ca_file: ca}, basic_auth: {username_file: user, password_file: password}",
		"token":    "tls_config: {ca_file: ca}, bearer_token_file: token",
		"key":      "tls_config: {ca_file: ca}, authorization: {credentials_file: key}",
		"header":   "tls_config: {ca_file: ca}, http_headers: {X-Key: {files: [header]}}",
		"ca":       "tls_config: {ca_file: ca}",
	} {
		files := map[string]string{"c.yml": "auths: {a: {" + auth + "}}\ntargets: [{name: a, uri: '" + server.URL + "', auth: a}]\n"}
		for _, file := range []string{"user", "password", "token", "key", "header"} {
			files[file] = "x"
		}
		files["ca"] = string(ca)
		dir := writeFiles(t, files)
		client := parse(t, "--config.file", filepath.Join(dir, "c.yml")).Targets[0].HTTP
		if err := request(t, client, server.URL); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		path := filepath.Join(dir, name)
		replace(t, path, func() error { return syscall.Mkfifo(path, 0o600) })
		if err := request(t, client, server.URL); err == nil || !strings.Contains(err.Error(), "read "+path+": not a regular file") {
			t.Errorf("%s: error %v", name, err)
		}
		replace(t, path, func() error { return os.WriteFile(path, []byte(files[name]), 0o600) })
		if err := request(t, client, server.URL); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// replace removes a file and makes another one.
func replace(t *testing.T, path string, create func() error) {
	t.Helper()
	if err := errors.Join(os.Remove(path), create()); err != nil {
		t.Fatal(err)
	}
}

// request sends a request and returns its error.
func request(t *testing.T, client *http.Client, url string) error {
	t.Helper()
	get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(get)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
