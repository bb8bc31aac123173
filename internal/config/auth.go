package config

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
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
	if !name.MatchString(key.Value) {
		return key.wrong("the name of an auth must match %s", name)
	}
	a := &auth{name: key.Value, http: promconfig.DefaultHTTPClientConfig}
	known := fields{
		"authorization":     l.readAuthorization(&a.http),
		"basic_auth":        l.readBasicAuth(&a.http),
		"bearer_token":      l.intoSecret(&a.http.BearerToken),
		"bearer_token_file": intoFile(&a.http.BearerTokenFile),
		"enable_http2":      intoBool(&a.http.EnableHTTP2),
		"follow_redirects":  intoBool(&a.http.FollowRedirects),
		"hosts":             intoList(&a.hosts, parseHost),
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
	if _, err := newHTTPClient(&a.http); err != nil { // reads the certificates
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
		return n.readFields(fields{
			"ca":                   into(&dst.CA),
			"ca_file":              intoFile(&dst.CAFile),
			"cert":                 into(&dst.Cert),
			"cert_file":            intoFile(&dst.CertFile),
			"key":                  l.intoSecret(&dst.Key),
			"key_file":             intoFile(&dst.KeyFile),
			"server_name":          into(&dst.ServerName),
			"insecure_skip_verify": intoBool(&dst.InsecureSkipVerify),
			"min_version":          intoTLSVersion(&dst.MinVersion),
			"max_version":          intoTLSVersion(&dst.MaxVersion),
		})
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

func (l *loader) readHeaders(dst *promconfig.HTTPClientConfig) func(node) error {
	return func(n node) error {
		dst.HTTPHeaders = &promconfig.Headers{Headers: map[string]promconfig.Header{}}
		return n.readMapping("of header names", func(key, value node) error {
			var header promconfig.Header
			err := value.readFields(fields{
				"values": intoList(&header.Values, asIs),
				"secrets": func(n node) error {
					return n.readList(func(element node) error {
						var secret promconfig.Secret
						err := l.intoSecret(&secret)(element)
						header.Secrets = append(header.Secrets, secret)
						return err
					})
				},
				"files": func(n node) error {
					return n.readList(func(element node) error {
						var file string
						err := intoFile(&file)(element)
						header.Files = append(header.Files, file)
						return err
					})
				},
			})
			if _, reserved := promconfig.ReservedHeaders[http.CanonicalHeaderKey(key.Value)]; reserved {
				err = errors.Join(err, key.wrong("the header %s must not be set", http.CanonicalHeaderKey(key.Value)))
			}
			dst.HTTPHeaders.Headers[key.Value] = header
			return err
		})
	}
}

// intoSecret returns a function that reads a secret. The text $NAME stands for the value of an environment variable. Errors do
// not contain the text.
func (l *loader) intoSecret(dst *promconfig.Secret) func(node) error {
	return func(n node) error { return l.intoExpanded((*string)(dst))(n) }
}

// intoExpanded returns a function that reads a text, in which $NAME stands for the value of an environment variable.
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
			return n.wrong("the environment variable %s is not set, or empty", variable)
		}
		return nil
	}
}

// intoFile returns a function that reads the name of a file, which must be readable. A relative name is relative to the
// directory of the file that contains it.
func intoFile(dst *string) func(node) error {
	return func(n node) error {
		path, err := n.text()
		if err != nil {
			return err
		}
		path = n.path(path)
		file, err := os.Open(path) //nolint:gosec // the user's configuration names the file
		if err != nil {
			return n.wrong("%w", err)
		}
		defer file.Close() //nolint:errcheck // nothing was written
		if info, err := file.Stat(); err != nil || info.IsDir() {
			return n.wrong("%s is a directory, not a file", path)
		}
		*dst = path
		return nil
	}
}

// path returns the path of a file that is relative to the directory of the file that has the node.
func (n node) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(n.file), path)
}

// parseHost parses an element of hosts: a network, an address, or a host name.
func parseHost(text string) (string, error) {
	if strings.Contains(text, "/") {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return "", fmt.Errorf("%q is not a network such as 192.0.2.0/24", text)
		}
		return prefix.Masked().String(), nil
	}
	host := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if _, err := netip.ParseAddr(host); err != nil && !hostName.MatchString(host) {
		return "", fmt.Errorf("%q is not a host name, an address or a network; it must not have a port or wildcards", text)
	}
	return host, nil
}

// allows reports whether the auth may be sent to the host of a URL. Host names are compared as texts and not resolved.
func (a *auth) allows(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	addr, notAddr := netip.ParseAddr(host)
	return slices.ContainsFunc(a.hosts, func(allowed string) bool {
		if allowed == host {
			return true
		}
		if prefix, err := netip.ParsePrefix(allowed); err == nil {
			return notAddr == nil && prefix.Contains(addr.Unmap())
		}
		other, err := netip.ParseAddr(allowed)
		return err == nil && notAddr == nil && other.Unmap() == addr.Unmap()
	})
}

// idleTimeout is the time after which an unused connection to a target is closed.
const idleTimeout = 90 * time.Second

// newHTTPClient returns a client with credentials and TLS settings. It uses no proxy except one that the settings name.
func newHTTPClient(settings *promconfig.HTTPClientConfig) (*http.Client, error) {
	return promconfig.NewClientFromConfig(*settings, "kamailio", promconfig.WithHTTP2Disabled(), promconfig.WithIdleConnTimeout(idleTimeout))
}

// sameAuth reports whether the settings of two HTTP clients are equal. Nil means none.
func sameAuth(a, b *promconfig.HTTPClientConfig) bool { return reflect.DeepEqual(a, b) }
