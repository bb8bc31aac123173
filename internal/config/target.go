package config

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// Target is one Kamailio to monitor.
type Target struct {
	// Name is the name in the configuration file, "" for the target of --kamailio.scrape-uri.
	Name string
	// URI is the socket or URL on which Kamailio listens for RPC.
	URI dial.Target
	// Origin says where the URI comes from: a flag, or a file and a line.
	Origin string
	// Modules are those that a scrape may choose. The first one is the default; there is at least one.
	Modules []*Module
	// AuthName is the name of the auth for URI, "" for none.
	AuthName string
	// HTTP is the client for http:// and https:// URIs. It has the credentials. It is nil for other URIs.
	HTTP *http.Client
	// XHTTPProm gets the page of the Kamailio module xhttp_prom; nil if no page is configured.
	XHTTPProm *xhttpprom.Client
	// SIPSockets are the SIP sockets to probe instead of those of the modules; nil for those of the modules.
	SIPSockets []sipprobe.Socket
	// Labels are labels for service discovery.
	Labels map[string]string

	auth, pageAuth *promconfig.HTTPClientConfig // nil for none
	page           string                       // URL of the page of xhttp_prom, "" for none
}

// Equal reports whether the targets are equal except for their labels, so that a client of one can be used for the other.
func (t *Target) Equal(other *Target) bool {
	return t.Name == other.Name && t.URI == other.URI && t.page == other.page && t.AuthName == other.AuthName && slices.EqualFunc(t.Modules, other.Modules, (*Module).equal) &&
		slices.Equal(t.SIPSockets, other.SIPSockets) &&
		sameAuth(t.auth, other.auth) && sameAuth(t.pageAuth, other.pageAuth)
}

// Module returns the module with that name, the default module for "". It returns nil if the target does not have the module.
func (t *Target) Module(name string) *Module {
	if name == "" {
		return t.Modules[0]
	}
	for _, module := range t.Modules {
		if module.Name == name {
			return module
		}
	}
	return nil
}

// SettingName returns the name by which the user knows a setting of the target or of one of its modules: a flag or a key of the
// configuration file. key is the key of the file.
func (t *Target) SettingName(module *Module, key string) string {
	ofTarget := slices.Contains(targetKeys, key)
	switch {
	case ofTarget && t.Name != "":
		return key + " of target " + t.Name
	case ofTarget || module.fromFlags:
		return "--" + flagOf(key)
	default:
		return key + " of module " + module.Name
	}
}

// targetKeys are the keys of a target, except its name, its modules and its labels.
var targetKeys = []string{"auth", "uri", "xhttp_prom_auth", "xhttp_prom_url"}

// maxName is the maximum length of the name of a target, a module or an auth, in bytes.
const maxName = 128

// name matches the names of targets, modules and auths.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// checkName returns an error if the text of a node is not the name of a target, a module or an auth. what says which of them.
func (n node) checkName(what string) error {
	if name.MatchString(n.Value) && len(n.Value) <= maxName {
		return nil
	}
	return n.wrong("the name of %s must match %s and must have at most %d bytes", what, name, maxName)
}

// reservedLabels are labels that Prometheus or the exporter sets.
var reservedLabels = []string{"instance", "job"}

// targetReader reads a target of the file.
type targetReader struct {
	*Target
	loader  *loader
	trusted bool // the target is in the main file
	uri     string
	modules []string
	auths   map[string]string // names of auths, by the key that has the name
	nodes   map[string]node   // values, by key
}

// readTargets reads a list of targets. trusted reports whether they are in the main file.
func (l *loader) readTargets(list node, trusted bool) error {
	if list.Kind != yaml.SequenceNode {
		return list.wrong("must be a list of targets, for example [{name: sbc1, uri: 'unix:/run/kamailio/kamailio_ctl'}], or [] for none")
	}
	return list.readList(func(n node) error {
		t := &targetReader{Target: &Target{}, loader: l, trusted: trusted, auths: map[string]string{}, nodes: map[string]node{}}
		known := fields{
			"name":            into(&t.Name),
			"uri":             into(&t.uri),
			"modules":         intoList(&t.modules, asIs),
			"auth":            t.readAuthName("auth"),
			"labels":          t.readLabels,
			"xhttp_prom_url":  into(&t.page),
			"xhttp_prom_auth": t.readAuthName("xhttp_prom_auth"),
			"sip":             readSockets(&t.SIPSockets),
		}
		for key, read := range known {
			known[key] = func(value node) error {
				t.nodes[key] = value
				return read(value)
			}
		}
		if err := n.readFields(known); err != nil {
			return err
		}
		return t.resolve(n)
	})
}

func (t *targetReader) readAuthName(key string) func(node) error {
	return func(n node) (err error) {
		t.auths[key], err = n.text()
		return err
	}
}

func (t *targetReader) readLabels(n node) error {
	t.Labels = map[string]string{}
	return n.readMapping("of label names and values", func(key, value node) error {
		text, err := value.line()
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(key.Value, "__"):
			return key.wrong("the label %q is not allowed, because labels that begin with __ configure Prometheus", key.Value)
		case !model.LegacyValidation.IsValidLabelName(key.Value):
			return key.wrong("%q is not the name of a label: it must match [a-zA-Z_][a-zA-Z0-9_]*", key.Value)
		case slices.Contains(reservedLabels, key.Value):
			return key.wrong("the label %q is not allowed: Prometheus or the exporter sets it", key.Value)
		}
		t.Labels[key.Value] = text
		return nil
	})
}

// resolve checks a target, and finds its modules and auths.
func (t *targetReader) resolve(n node) error {
	for _, key := range []string{"name", "uri"} {
		if _, given := t.nodes[key]; !given {
			return n.wrong("the target must have the key %s", key)
		}
	}
	if err := t.nodes["name"].checkName("a target"); err != nil {
		return err
	}
	if first, taken := t.loader.names[t.Name]; taken {
		return t.nodes["name"].wrong("the name %q is not unique: the target in %s:%d has it too", t.Name, first.file, first.Line)
	}
	t.loader.names[t.Name] = t.nodes["name"]
	var err error
	if t.URI, err = dial.ParseTarget(t.uri); err != nil {
		return t.nodes["uri"].wrong("%w", err)
	}
	t.Origin = fmt.Sprintf("%s:%d", t.nodes["uri"].file, t.nodes["uri"].Line)
	if err := t.resolveModules(n); err != nil {
		return err
	}
	if err := t.resolveClients(); err != nil {
		return err
	}
	t.loader.targets = append(t.loader.targets, t.Target)
	return nil
}

func (t *targetReader) resolveModules(n node) error {
	at, given := t.nodes["modules"]
	if !given {
		at, t.modules = n, []string{defaultName}
	}
	if len(t.modules) == 0 {
		return at.wrong("a target must have at least one module; without the key modules it has the module %s", defaultName)
	}
	for _, name := range t.modules {
		module, ok := t.loader.modules[name]
		if !ok {
			return at.wrong("there is no module %q; the modules are %s", name, keysOf(t.loader.modules))
		}
		if method := module.binrpcOnly(); t.URI.Protocol == dial.JSONRPC && method != "" {
			return at.wrong("module %q has the method %s, which is not answered over JSON-RPC, or only in part: "+
				"use a socket of the Kamailio module ctl, or a module without the method", name, method)
		}
		t.Modules = append(t.Modules, module)
	}
	if at, given := t.nodes["sip"]; given && len(t.SIPSockets) == 0 {
		return at.wrong("must have at least one URI; a target without the key sip has the sockets of its modules")
	}
	if len(t.SIPSockets) > 0 && !slices.ContainsFunc(t.Modules, func(m *Module) bool { return m.SIP != nil }) {
		return t.nodes["sip"].wrong("none of the modules of the target has the key sip, so that its SIP sockets would not be probed")
	}
	return nil
}

// resolveClients finds the auths and makes the HTTP clients.
func (t *targetReader) resolveClients() error {
	uriAuth, err := t.resolveAuth("auth", "uri", t.uri)
	if err != nil {
		return err
	}
	if uriAuth != nil {
		t.AuthName, t.auth = uriAuth.name, &uriAuth.http
	}
	if t.URI.Network == "http" {
		t.HTTP = uriAuth.clientOrDefault()
	}
	pageAuth, err := t.resolveAuth("xhttp_prom_auth", "xhttp_prom_url", t.page)
	if err != nil || t.page == "" {
		return err
	}
	if pageAuth != nil {
		t.pageAuth = &pageAuth.http
	}
	if t.XHTTPProm, err = xhttpprom.NewClient(t.page, pageAuth.clientOrDefault()); err != nil {
		return t.nodes["xhttp_prom_url"].wrong("%w", err)
	}
	return nil
}

// orDefault returns the settings, those of a client without credentials for nil.
func orDefault(settings *promconfig.HTTPClientConfig) *promconfig.HTTPClientConfig {
	if settings == nil {
		return &promconfig.HTTPClientConfig{}
	}
	return settings
}

// resolveAuth returns the auth whose name a key has, for the URL of another key. It returns nil if the target does not have the
// key.
func (t *targetReader) resolveAuth(key, urlKey, address string) (*auth, error) {
	at, given := t.nodes[key]
	if !given {
		return nil, nil //nolint:nilnil // most targets have none
	}
	found, ok := t.loader.auths[t.auths[key]]
	switch {
	case len(t.loader.auths) == 0:
		return nil, at.wrong("there is no auth %q; the file of --config.file has no auths", t.auths[key])
	case !ok:
		return nil, at.wrong("there is no auth %q; the auths are %s", t.auths[key], keysOf(t.loader.auths))
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, at.wrong("%s needs a %s that begins with http:// or https://", key, urlKey)
	}
	switch {
	case len(found.hosts) == 0 && t.trusted:
		return found, nil
	case len(found.hosts) == 0:
		return nil, at.wrong("auth %q has no hosts, so that a target of target_files cannot use it: add %s to its hosts in the file of --config.file", found.name, u.Hostname())
	case !found.allows(u):
		return nil, at.wrong("auth %q must not be sent to %s, which is not in its hosts: add it to them in the file of --config.file", found.name, u.Hostname())
	}
	return found, nil
}

// keysOf returns the keys of a map for an error, sorted.
func keysOf[T any](all map[string]T) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), ", ")
}
