package docs_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
)

// allKeys is a configuration file with every key.
const allKeys = "../examples/all_keys.yml"

// mappings are the mappings of a configuration file, by the mark of their table. %s stands for their keys.
var mappings = map[string]string{
	"keys file":          "{%s}",
	"keys module":        "modules: {a: {%s}}",
	"keys auth":          "auths: {a: {%s}}",
	"keys basic_auth":    "auths: {a: {basic_auth: {%s}}}",
	"keys authorization": "auths: {a: {authorization: {%s}}}",
	"keys http_headers":  "auths: {a: {http_headers: {X-A: {%s}}}}",
	"keys tls_config":    "auths: {a: {tls_config: {%s}}}",
	"keys target":        "targets: [{%s}]",
	"keys sip":           "modules: {a: {sip: {%s}}}",
}

// wrongTypes has a value of another type and its error, by the type in a table.
var wrongTypes = map[string]struct{ value, err string }{
	"mapping": {"[]", "must be a mapping"},
	"list":    {"x", "must be a list"},
	"sockets": {"x", "must be auto, off or a list of URIs"},
	"text":    {"[]", "must be a text"},
	"time":    {"[]", "must be a text"},
	"number":  {"[]", "must be a text"},
	"boolean": {"x", "must be true or false"},
	"host":    {"x", "is not one of auto, on, full, off"},
	"version": {"x", "must be one of TLS10, TLS11, TLS12, TLS13"},
}

// errorOf returns the error of a configuration file.
func errorOf(t *testing.T, format, keys string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yml")
	writeFile(t, file, fmt.Sprintf(format, keys))
	_, err := config.Parse([]string{"--config.file", file})
	return fmt.Sprint(err)
}

// TestKeys compares the tables of keys with the keys that the program allows, their types, and the defaults of the flags. The
// example of each key must be in the file with every key.
func TestKeys(t *testing.T) {
	example := readPage(t, allKeys)
	for mark, mapping := range mappings {
		var names []string
		for _, cells := range rows(t, mark) {
			typ, fallback := strings.TrimSpace(cells[1]), strings.Join(quoted(cells[2]), "")
			for _, key := range quoted(cells[0]) {
				names = append(names, key)
				wrong := wrongTypes[typ]
				if err := errorOf(t, mapping, key+": "+wrong.value); wrong.err == "" || !strings.Contains(err, wrong.err) {
					t.Errorf("%s: the type of %s is %q, but the value %s gives the error %s", mark, key, typ, wrong.value, err)
				}
				if !regexp.MustCompile(`(?m)^ *(# |- )?` + key + `:`).MatchString(example) {
					t.Errorf("%s: %s is not in %s", mark, key, allKeys)
				}
				if mark == "keys module" {
					checkDefault(t, key, fallback)
				}
			}
			for _, code := range quoted(cells[4]) {
				if !regexp.MustCompile(`(?m)^ *(# |- )?` + regexp.QuoteMeta(code) + ` *(#.*)?$`).MatchString(example) {
					t.Errorf("%s: the example %s is not in %s", mark, code, allKeys)
				}
			}
		}
		slices.Sort(names)
		if err := errorOf(t, mapping, "no_such_key: 1"); !strings.HasSuffix(err, ", allowed are "+strings.Join(names, ", ")) {
			t.Errorf("%s: the table has the keys %s, and the error is %s", mark, names, err)
		}
	}
}

// checkDefault compares the default of a key of a module with that of its flag, if it has one.
func checkDefault(t *testing.T, key, fallback string) {
	t.Helper()
	name := strings.TrimPrefix(config.SettingName(key), "--")
	for _, flag := range config.App().Model().Flags {
		if flag.Name == name && strings.Join(flag.Default, "") != fallback {
			t.Errorf("the default of %s is %q, that of its flag is %q", key, fallback, flag.Default)
		}
	}
}

// TestExamples loads the examples of configuration files with the files that they name.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	certificate := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem":     {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]},
		"client.pem": {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]},
		"client.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		writeFile(t, filepath.Join(dir, name), string(pem.EncodeToMemory(block)))
	}
	for _, name := range []string{"noc.username", "noc.password", "noc.token"} {
		writeFile(t, filepath.Join(dir, name), "secret\n")
	}
	t.Setenv("NOC_PASSWORD", "secret")
	t.Setenv("NOC_TOKEN", "secret")
	found, err := filepath.Glob("../examples/*.yml")
	if err != nil || !slices.Contains(found, allKeys) {
		t.Fatalf("the examples are %q, %v", found, err)
	}
	for _, example := range found {
		text := readPage(t, example)
		for _, text := range []string{text, uncommented(text)} {
			file := filepath.Join(dir, "exporter.yml")
			writeFile(t, file, text)
			if _, err := config.Parse([]string{"--config.file", file, "--config.expand-environment"}); err != nil {
				t.Errorf("%s: %v\n%s", example, err, text)
			}
		}
	}
	if err := os.Remove(filepath.Join(dir, "noc.password")); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Parse([]string{"--config.file", filepath.Join(dir, "exporter.yml"), "--config.expand-environment"}); err == nil {
		t.Error("the file that password_file names is not read")
	}
}

// uncommented returns a file with the keys that are in comments.
func uncommented(text string) string {
	return regexp.MustCompile(`(?m)^#( *(?:- )?\w+:(?: .*)?)$`).ReplaceAllString(text, "$1")
}
