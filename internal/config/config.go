// Package config turns the command line and the configuration file into one checked value. No other package except those of the
// programs knows the names of flags and keys.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector/custom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// Config is the configuration of the exporter. Its values have been checked.
type Config struct {
	Web Web
	Log promslog.Config
	// File is the configuration file, "" for none.
	File string
	// Once reports whether to scrape Target once and to exit. Target is then not nil, and may be one of Targets.
	Once bool
	// Check reports whether the configuration is to be checked only.
	Check bool
	// Target is the target of --kamailio.scrape-uri, whose metrics are on the telemetry path. It is nil if the configuration
	// file has targets and the flag is not given.
	Target *Target
	// Targets are the targets of the configuration file.
	Targets []*Target
	// CustomMetrics are the user's own metrics, by the name of their entry.
	CustomMetrics map[string]*custom.Entry
	// Warnings say what the configuration file should not have, with the file and the line.
	Warnings []string
}

// All returns all targets.
func (c *Config) All() []*Target {
	if c.Target == nil {
		return c.Targets
	}
	return append([]*Target{c.Target}, c.Targets...)
}

// Web is the configuration of the exporter's own pages.
type Web struct {
	// TLS reports whether --web.config.file has the settings of a TLS server, so that the pages are served over HTTPS.
	TLS bool
	// Users are the names of users in --web.config.file, sorted; none means that the pages need no password.
	Users []string
	// Listen has the addresses to listen on, and the file with the TLS and authentication settings.
	Listen *toolkit.FlagConfig
	// RoutePrefix is the prefix of the paths of all pages, for example "/kamailio"; "" for none.
	RoutePrefix string
	// TelemetryPath is the path of the metrics after RoutePrefix, for example "/metrics".
	TelemetryPath string
	// ExternalURL is the URL of --web.external-url. It is empty if that is not given.
	ExternalURL *url.URL
	// MaxRequests is the maximum number of requests for metrics that are answered at the same time. It is positive.
	MaxRequests int
	// Lifecycle allows to reload the configuration file by an HTTP request.
	Lifecycle bool
	// ExporterMetrics adds the metrics of the exporter's own process: go_*, process_* and promhttp_*.
	ExporterMetrics bool
}

// Parse parses the command line. args does not include the program's name. The error names the wrong flag and the allowed
// values.
func Parse(args []string) (*Config, error) {
	app, f := newApp()
	if err := cli.Parse(app, args); err != nil {
		return nil, err
	}
	return f.config()
}

// ParseCheck parses the command line of the command check, which has the flags of the exporter. args does not include the names of
// the program and of the command. checked are the targets to check: that of --target, or all.
func ParseCheck(args []string) (cfg *Config, checked []*Target, err error) {
	app, f := newApp()
	app.Name += " check"
	app.Help = "Says what works between this host and Kamailio, and what to change. It has the flags of kamailio_exporter, does not listen, " +
		"calls only methods that read, and exits with status 1 if kamailio_up would be 0."
	if err := cli.Parse(app, args); err != nil {
		return nil, nil, err
	}
	wanted := f.onceTarget
	f.onceTarget = ""
	for flag, given := range map[string]bool{"once": f.once, "config.check": f.checkConfig} {
		if given {
			return nil, nil, wrong(flag, errors.New("the flag is not for the command check"))
		}
	}
	if cfg, err = f.config(); err != nil {
		return nil, nil, err
	}
	if wanted == "" {
		return cfg, cfg.All(), nil
	}
	target, err := cfg.named(wanted)
	return cfg, []*Target{target}, err
}

// App returns the application with all flags. It is for tests and documentation of the flags.
func App() *kingpin.Application {
	app, _ := newApp()
	return app
}

// SettingName returns the flag of a setting, for example "--kamailio.timeout" for "timeout". key is the key of the setting in a
// module or a target of a configuration file.
func SettingName(key string) string { return "--" + flagOf(key) }

// config checks combinations of flags, reads the configuration file, and returns the configuration.
func (f *flags) config() (*Config, error) {
	web, err := f.webConfig()
	if err != nil {
		return nil, err
	}
	module, err := f.moduleConfig()
	if err != nil {
		return nil, err
	}
	if err := f.checkFileFlags(); err != nil {
		return nil, err
	}
	cfg := &Config{Web: web, Log: f.log, File: f.configFile, Once: f.once, Check: f.checkConfig}
	if err := f.addTargets(cfg, module); err != nil {
		return nil, err
	}
	if err := f.chooseTarget(cfg); err != nil {
		return nil, err
	}
	if cfg.Web.MaxRequests == 0 {
		cfg.Web.MaxRequests = defaultMaxRequests + len(cfg.Targets)
	}
	return cfg, nil
}

// addTargets adds the targets of the configuration file, and that of --kamailio.scrape-uri. module is the module of the flags.
func (f *flags) addTargets(cfg *Config, module *Module) (err error) {
	if f.configFile != "" {
		content, err := loadFile(f.configFile, fileOptions{f.expandEnvironment, module, f.givenModuleFlags()})
		if _, ok := errors.AsType[*FileError](err); ok {
			return err
		}
		if err != nil {
			return wrong("config.file", err)
		}
		module, cfg.Targets = content.modules[defaultName], content.targets
		cfg.CustomMetrics, cfg.Warnings = content.entries, content.warnings
		if content.fleet && !*f.given["kamailio.scrape-uri"] {
			return f.checkTargetFlags()
		}
	}
	cfg.Target, err = f.target(module)
	return err
}

// defaultMaxRequests is the maximum number of requests without targets in a file.
const defaultMaxRequests = 40

// checkFileFlags returns an error if there is no configuration file and a flag needs one.
func (f *flags) checkFileFlags() error {
	const reason = "needs --config.file too"
	switch {
	case f.configFile != "":
		return nil
	case f.expandEnvironment:
		return wrong("config.expand-environment", errors.New(reason))
	case f.web.Lifecycle:
		return wrong("web.enable-lifecycle", errors.New(reason))
	}
	return nil
}

// checkTargetFlags returns an error if a flag of the target of --kamailio.scrape-uri is given without that flag.
func (f *flags) checkTargetFlags() error {
	for _, flag := range targetFlags {
		if *f.given[flag] {
			return wrong(flag, errors.New("the flag is for the target of --kamailio.scrape-uri, which is not given; "+
				"a target of --config.file has the keys auth and xhttp_prom_url instead"))
		}
	}
	return nil
}

// chooseTarget sets the target of --once.
func (f *flags) chooseTarget(cfg *Config) error {
	switch {
	case !f.once && f.onceTarget != "":
		return wrong("target", errors.New("the flag is for --once and for the command check only"))
	case !f.once || f.onceTarget == "" && cfg.Target != nil:
		return nil
	case f.onceTarget == "":
		return wrong("once", errors.New("--target is needed too, which names one of the targets of --config.file"))
	}
	var err error
	cfg.Target, err = cfg.named(f.onceTarget)
	return err
}

// named returns the target of the configuration file that --target names.
func (c *Config) named(name string) (*Target, error) {
	for _, target := range c.Targets {
		if target.Name == name {
			return target, nil
		}
	}
	return nil, wrong("target", fmt.Errorf("there is no target %q in --config.file%s", name, c.namesOfTargets()))
}

// namesOfTargets returns the end of an error that says which targets there are.
func (c *Config) namesOfTargets() string {
	const maxNamed = 20
	var names []string
	for _, target := range c.Targets {
		names = append(names, target.Name)
	}
	switch {
	case len(names) == 0:
		return ""
	case len(names) > maxNamed:
		return fmt.Sprintf("; the targets are %s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
	default:
		return "; the targets are " + strings.Join(names, ", ")
	}
}

// target returns the target of --kamailio.scrape-uri.
func (f *flags) target(module *Module) (*Target, error) {
	uri, err := dial.ParseTarget(f.scrapeURI)
	if err != nil {
		return nil, wrong("kamailio.scrape-uri", err)
	}
	target := &Target{URI: uri, Origin: "--" + flagOf("uri"), Modules: []*Module{module}, page: f.xhttpPromURL}
	if !*f.given[flagOf("uri")] {
		target.Origin = "the default of " + target.Origin
	}
	if method := module.binrpcOnly(); method != "" && uri.Protocol == dial.JSONRPC {
		return nil, fmt.Errorf("%s: %s is not answered over JSON-RPC, or only in part: use a socket of the Kamailio module ctl, or remove the method",
			target.SettingName(module, "methods"), method)
	}
	if target.auth, err = f.httpConfig(uri); err != nil {
		return nil, wrong("kamailio.http-config.file", err)
	}
	target.pageAuth = target.auth
	client, err := newHTTPClient(orDefault(target.auth))
	if err != nil {
		return nil, wrong("kamailio.http-config.file", fileError(f.httpConfigFile, err))
	}
	if uri.Network == "http" {
		target.HTTP = client
	}
	if f.xhttpPromURL != "" {
		if target.XHTTPProm, err = xhttpprom.NewClient(f.xhttpPromURL, client); err != nil {
			return nil, wrong("kamailio.xhttp-prom-url", fmt.Errorf("%q: %w", cli.Redacted(f.xhttpPromURL), err))
		}
	}
	return target, nil
}

// httpConfig returns the settings of --kamailio.http-config.file, nil without that flag.
func (f *flags) httpConfig(uri dial.Target) (*promconfig.HTTPClientConfig, error) {
	if f.httpConfigFile == "" {
		return nil, nil //nolint:nilnil // most users have none
	}
	settings, _, err := promconfig.LoadHTTPConfigFile(f.httpConfigFile)
	if err != nil {
		return nil, fileError(f.httpConfigFile, err)
	}
	if uri.Network == "http" && f.xhttpPromURL != "" && !sameOrigin(uri.Address, f.xhttpPromURL) {
		return nil, errors.New("--kamailio.scrape-uri and --kamailio.xhttp-prom-url differ in scheme, host or port, and credentials are for one server only: " +
			"use --config.file, in which each has an auth of its own")
	}
	return settings, nil
}

// sameOrigin reports whether two URLs have the same scheme, host and port. It returns true if one is not valid.
func sameOrigin(a, b string) bool {
	first, err := url.Parse(a)
	if err != nil {
		return true
	}
	second, err := url.Parse(b)
	return err != nil || first.Scheme == second.Scheme && strings.EqualFold(first.Hostname(), second.Hostname()) && portOf(first) == portOf(second)
}

// portOf returns the port of a URL, the default port of its scheme if it has none.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// moduleConfig returns the module with the settings of the flags.
func (f *flags) moduleConfig() (*Module, error) {
	module := &f.module
	module.Name, module.fromFlags = defaultName, true
	for _, flag := range f.givenModuleFlags() {
		module.Set = append(module.Set, keyOf(flag))
	}
	module.Settings.NoLegacySeries = !f.legacySeries
	if err := module.resolve(SettingName); err != nil {
		return nil, wrong(flagOf(err.setting), err.err)
	}
	return module, nil
}

// webConfig returns the configuration of the exporter's own pages.
func (f *flags) webConfig() (Web, error) {
	if err := toolkit.Validate(*f.web.Listen.WebConfigFile); err != nil {
		return Web{}, wrong("web.config.file", fileError(*f.web.Listen.WebConfigFile, err))
	}
	users, hasTLS, err := readWebConfig(*f.web.Listen.WebConfigFile)
	if err != nil {
		return Web{}, wrong("web.config.file", err)
	}
	external, err := parseExternalURL(f.externalURL)
	if err != nil {
		return Web{}, wrong("web.external-url", fmt.Errorf("%q: %w", cli.Redacted(f.externalURL), err))
	}
	web := f.web
	if web.RoutePrefix, err = routePrefix(f.web.RoutePrefix, external); err != nil {
		flag := "web.route-prefix"
		if f.web.RoutePrefix == "" {
			flag = "web.external-url"
		}
		return Web{}, wrong(flag, err)
	}
	if err := checkPagePath(web.TelemetryPath); err != nil {
		return Web{}, wrong("web.telemetry-path", err)
	}
	web.ExternalURL, web.Users, web.TLS = external, users, hasTLS
	web.ExporterMetrics = !f.disableExporterMetrics
	return web, nil
}

// wrong returns an error about a flag.
func wrong(flag string, err error) error { return fmt.Errorf("--%s: %w", flag, err) }

// yamlValue matches a value in an error of package yaml.
var yamlValue = regexp.MustCompile("`.*`")

// fileError returns the error of a configuration file with the name of the file and without values of the file, which may be
// passwords.
func fileError(file string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return fmt.Errorf("%s: %s", file, yamlValue.ReplaceAllString(err.Error(), "a value"))
}
