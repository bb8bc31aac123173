package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	promconfig "github.com/prometheus/common/config"
)

// auth has the credentials and the TLS settings for HTTP targets. Its keys are those of Prometheus' http_config.
type auth struct {
	name string
	// hosts are the networks, addresses and host names to which the auth may be sent. If it is empty, targets of the main
	// file may use the auth for any host, and targets of target_files cannot use it.
	hosts []string
	http  promconfig.HTTPClientConfig
	// client has the settings of http. All targets with the auth share it, because the certificates of ca_file can take 200 KB.
	client *http.Client
}

// refusedAuthKeys are the keys of Prometheus' http_config that an auth must not have, with the reason.
var refusedAuthKeys = map[string]string{
	"no_proxy":               "a proxy would receive the credentials",
	"oauth2":                 "it would send credentials to another host",
	"proxy_connect_header":   "a proxy would receive the credentials",
	"proxy_from_environment": "a proxy would receive the credentials",
	"proxy_url":              "a proxy would receive the credentials",
}

// readAuth reads one auth of the file.
func (l *loader) readAuth(key, value node) error {
	if err := key.checkName("an auth"); err != nil {
		return err
	}
	value.private = true
	a := &auth{name: key.Value, http: promconfig.DefaultHTTPClientConfig}
	known := fields{
		"authorization":     l.readAuthorization(&a.http),
		"basic_auth":        l.readBasicAuth(&a.http),
		"bearer_token":      l.intoSecret(&a.http.BearerToken),
		"bearer_token_file": intoFile(&a.http.BearerTokenFile),
		"enable_http2":      intoBool(&a.http.EnableHTTP2),
		"follow_redirects":  intoBool(&a.http.FollowRedirects),
		"hosts":             intoHosts(&a.hosts),
		"http_headers":      l.readHeaders(&a.http),
		"tls_config":        l.readTLSConfig(&a.http.TLSConfig),
	}
	allowed := known.keys()
	for name, reason := range refusedAuthKeys {
		known[name] = func(n node) error { return n.wrong("%s is not allowed in an auth: %s", name, reason) }
	}
	a.http.FollowRedirects = false
	if err := value.readFieldsOf(known, allowed); err != nil {
		return err
	}
	if a.http.FollowRedirects {
		return value.wrong("follow_redirects must not be true in an auth: a redirect could send the credentials to another host")
	}
	if err := a.http.Validate(); err != nil {
		return value.wrong("auth %q: %w", a.name, err)
	}
	var err error
	if a.client, err = newHTTPClient(&a.http); err != nil { // reads the certificates
		return value.wrong("auth %q: %w", a.name, err)
	}
	l.auths[a.name] = a
	return nil
}

func (l *loader) readBasicAuth(dst *promconfig.HTTPClientConfig) func(node) error {
	return func(n node) error {
		dst.BasicAuth = &promconfig.BasicAuth{}
		return n.readFields(fields{
			"username":      l.intoExpanded(&dst.BasicAuth.Username),
			"username_file": intoFile(&dst.BasicAuth.UsernameFile),
			"password":      l.intoSecret(&dst.BasicAuth.Password),
			"password_file": intoFile(&dst.BasicAuth.PasswordFile),
		})
	}
}

func (l *loader) readAuthorization(dst *promconfig.HTTPClientConfig) func(node) error {
	return func(n node) error {
		dst.Authorization = &promconfig.Authorization{}
		return n.readFields(fields{
			"type":             into(&dst.Authorization.Type),
			"credentials":      l.intoSecret(&dst.Authorization.Credentials),
			"credentials_file": intoFile(&dst.Authorization.CredentialsFile),
		})
	}
}

func (l *loader) readTLSConfig(dst *promconfig.TLSConfig) func(node) error {
	return func(n node) error {
		err := n.readFields(fields{
			"ca":                   into(&dst.CA),
			"ca_file":              intoFile(&dst.CAFile),
			"cert":                 into(&dst.Cert),
			"cert_file":            intoFile(&dst.CertFile),
			"key":                  l.intoExpanded((*string)(&dst.Key)),
			"key_file":             intoFile(&dst.KeyFile),
			"server_name":          into(&dst.ServerName),
			"insecure_skip_verify": intoBool(&dst.InsecureSkipVerify),
			"min_version":          intoTLSVersion(&dst.MinVersion),
			"max_version":          intoTLSVersion(&dst.MaxVersion),
		})
		if err == nil && dst.MaxVersion != 0 && dst.MinVersion > dst.MaxVersion {
			return n.wrong("min_version must not be above max_version")
		}
		return err
	}
}

// intoTLSVersion returns a function that reads a version of TLS, for example TLS12.
func intoTLSVersion(dst *promconfig.TLSVersion) func(node) error {
	return func(n node) error {
		version, ok := promconfig.TLSVersions[n.Value]
		if !ok {
			return n.wrong("must be one of %s", strings.Join(slices.Sorted(maps.Keys(promconfig.TLSVersions)), ", "))
		}
		*dst = version
		return nil
	}
}

// headerName matches the name of an HTTP header.
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func (l *loader) readHeaders(dst *promconfig.HTTPClientConfig) func(node) error {
	return func(n node) error {
		headers := map[string]promconfig.Header{}
		dst.HTTPHeaders = &promconfig.Headers{Headers: headers}
		return n.readMapping("of header names", func(key, value node) error {
			name := http.CanonicalHeaderKey(key.Value)
			_, reserved := promconfig.ReservedHeaders[name]
			_, repeated := headers[name]
			switch {
			case !headerName.MatchString(name):
				return key.wrong("the key is not the name of an HTTP header")
			case reserved:
				return key.wrong("the header %s must not be set", name)
			case repeated:
				return key.wrong("the header is repeated; upper and lower case are the same")
			}
			var header promconfig.Header
			err := value.readFields(fields{
				"values":  readEach(&header.Values, func(dst *string, n node) (err error) { *dst, err = n.line(); return err }),
				"secrets": readEach(&header.Secrets, func(dst *promconfig.Secret, n node) error { return l.intoSecret(dst)(n) }),
				"files":   readEach(&header.Files, func(dst *string, n node) error { return intoFile(dst)(n) }),
			})
			headers[name] = header
			return err
		})
	}
}

// readEach returns a function that reads a list into dst, each element with read.
func readEach[T any](dst *[]T, read func(*T, node) error) func(node) error {
	return func(n node) error {
		return n.readList(func(element node) error {
			var value T
			err := read(&value, element)
			*dst = append(*dst, value)
			return err
		})
	}
}

// intoSecret returns a function that reads a secret of one line, as intoExpanded does.
func (l *loader) intoSecret(dst *promconfig.Secret) func(node) error {
	return func(n node) error {
		if err := l.intoExpanded((*string)(dst))(n); err != nil {
			return err
		}
		if hasControl(string(*dst)) {
			return n.wrong("must be a text without control characters, for example line breaks")
		}
		return nil
	}
}

// intoExpanded returns a function that reads a text, in which $NAME stands for the value of an environment variable. Errors do not
// contain the text, nor the name of the variable, which could be a secret that begins with $.
func (l *loader) intoExpanded(dst *string) func(node) error {
	return func(n node) error {
		text, err := n.text()
		if err != nil {
			return err
		}
		variable, isVariable := strings.CutPrefix(text, "$")
		switch {
		case !isVariable:
			*dst = text
			return nil
		case !l.options.expandEnvironment:
			return n.wrong("a value that begins with $ stands for an environment variable, which needs --config.expand-environment: " +
				"set that flag, or put the secret into a file")
		case !variableName.MatchString(variable):
			return n.wrong("a value that begins with $ must be the name of an environment variable: put other secrets into a file")
		}
		*dst = os.Getenv(variable)
		if *dst == "" {
			return n.wrong("the environment variable with this name is not set, or empty")
		}
		return nil
	}
}

// variableName matches the name of an environment variable.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// intoFile returns a function that reads the name of a file, which must be readable. A relative name is relative to the
// directory of the file that contains it.
func intoFile(dst *string) func(node) error {
	return func(n node) error {
		path, err := n.text()
		if err != nil {
			return err
		}
		path = n.path(path)
		file, err := openFile(path)
		if err != nil {
			return n.wrong("%w", err)
		}
		*dst = path
		return file.Close()
	}
}

// path returns the path of a file that is relative to the directory of the file that has the node.
func (n node) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(n.file), path)
}

// intoHosts returns a function that reads a list of hosts, which must not be empty.
func intoHosts(dst *[]string) func(node) error {
	return func(n node) error {
		err := intoList(dst, parseHost)(n)
		if err == nil && len(*dst) == 0 {
			return n.wrong("hosts must have at least one element")
		}
		return err
	}
}

// hostName matches a host name in lower case.
var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?$`)

// parseHost parses an element of hosts: a network, an address, or a host name. It returns the text with which allows compares.
func parseHost(text string) (string, error) {
	if strings.Contains(text, "/") {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() {
			return "", fmt.Errorf("%q is not a network such as 192.0.2.0/24", text)
		}
		return prefix.Masked().String(), nil
	}
	unbracketed := text
	if strings.HasPrefix(text, "[") {
		unbracketed = strings.TrimSuffix(text[1:], "]")
	}
	if addr, err := netip.ParseAddr(unbracketed); err == nil {
		return addr.Unmap().String(), nil
	}
	host := strings.ToLower(text)
	if !hostName.MatchString(host) {
		return "", fmt.Errorf("%q is not a host name, an address or a network; it must not have a port or wildcards", text)
	}
	return host, nil
}

// allows reports whether the auth may be sent to the host of a URL. Host names are compared as texts and not resolved.
func (a *auth) allows(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return slices.Contains(a.hosts, host)
	}
	addr = addr.Unmap()
	return slices.ContainsFunc(a.hosts, func(allowed string) bool {
		prefix, _ := netip.ParsePrefix(allowed) // that of a host is zero, and contains no address
		return allowed == addr.String() || prefix.Contains(addr)
	})
}

// idleTimeout is the time after which an unused connection to a target is closed.
const idleTimeout = 90 * time.Second

// withoutAuth is the client of all targets of files without an auth.
var withoutAuth = sync.OnceValue(func() *http.Client {
	client, err := newHTTPClient(orDefault(nil))
	if err != nil {
		panic(err) // only settings with files or certificates can be wrong
	}
	return client
})

// clientOrDefault returns the client of the auth, or one without credentials if a is nil.
func (a *auth) clientOrDefault() *http.Client {
	if a == nil {
		return withoutAuth()
	}
	return a.client
}

// newHTTPClient returns a client with credentials and TLS settings. It uses no proxy except one that the settings name.
func newHTTPClient(settings *promconfig.HTTPClientConfig) (*http.Client, error) {
	client, err := promconfig.NewClientFromConfig(*settings, "kamailio", promconfig.WithHTTP2Disabled(), promconfig.WithIdleConnTimeout(idleTimeout))
	if err != nil {
		return nil, err
	}
	client.Transport = &secretFiles{filesOf(settings), client.Transport}
	return client, nil
}

// filesOf returns the files that a client with these settings reads for each request.
func filesOf(settings *promconfig.HTTPClientConfig) []string {
	files := []string{settings.BearerTokenFile, settings.TLSConfig.CAFile, settings.TLSConfig.CertFile, settings.TLSConfig.KeyFile}
	if settings.BasicAuth != nil {
		files = append(files, settings.BasicAuth.UsernameFile, settings.BasicAuth.PasswordFile)
	}
	if settings.Authorization != nil {
		files = append(files, settings.Authorization.CredentialsFile)
	}
	if settings.HTTPHeaders != nil {
		for _, header := range settings.HTTPHeaders.Headers {
			files = append(files, header.Files...)
		}
	}
	return slices.DeleteFunc(files, func(file string) bool { return file == "" })
}

// secretFiles checks files before each request, for which next reads them. A named pipe would block the request, whose context
// next does not watch while it reads.
type secretFiles struct {
	files []string
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (s *secretFiles) RoundTrip(request *http.Request) (*http.Response, error) {
	for _, path := range s.files {
		if err := checkSecretFile(path); err != nil {
			if request.Body != nil {
				_ = request.Body.Close()
			}
			return nil, err
		}
	}
	return s.next.RoundTrip(request)
}

// CloseIdleConnections closes the connections that are not in use. http.Client calls it.
func (s *secretFiles) CloseIdleConnections() {
	(&http.Client{Transport: s.next}).CloseIdleConnections()
}

// checkSecretFile returns an error if a file cannot be found, is not a regular file, or is too large.
func checkSecretFile(path string) error {
	switch info, err := os.Stat(path); {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	case info.Size() > maxFileSize:
		return &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("more than %d bytes", maxFileSize)}
	}
	return nil
}

// sameAuth reports whether the settings of two HTTP clients are equal. Nil means none.
func sameAuth(a, b *promconfig.HTTPClientConfig) bool { return reflect.DeepEqual(a, b) }
