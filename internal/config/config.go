// Package config reads the command line and makes one checked value of it. Nothing else in the program knows the names of
// flags.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"

	"github.com/alecthomas/kingpin/v2"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// Config is the configuration of the exporter. All of it has been checked.
type Config struct {
	Web Web
	Log promslog.Config
	// Target is the Kamailio that --kamailio.scrape-uri names.
	Target *Target
}

// Web is the configuration of the exporter's own pages.
type Web struct {
	// Listen says where to listen, and with which TLS and authentication settings.
	Listen *toolkit.FlagConfig
	// RoutePrefix is what the paths of all pages begin with, for example "/kamailio"; empty for nothing.
	RoutePrefix string
	// TelemetryPath is the path of the metrics behind RoutePrefix, for example "/metrics".
	TelemetryPath string
	// MaxRequests is how many requests for metrics are answered at the same time. It is positive.
	MaxRequests int
	// ExporterMetrics adds the metrics of the exporter's own process: go_*, process_* and promhttp_*.
	ExporterMetrics bool
}

// Target is one Kamailio to monitor.
type Target struct {
	// URI is where Kamailio listens for RPC.
	URI dial.Target
	// Module says what to ask and how.
	Module *Module
	// HTTP is the client for a URI of HTTP. It has the credentials.
	HTTP *http.Client
	// XHTTPProm reads the page of the Kamailio module xhttp_prom; nil if there is none to read.
	XHTTPProm *xhttpprom.Client
}

// Parse reads the arguments of the command line, which do not include the program's name. The error names the flag that is
// wrong and what is allowed.
func Parse(args []string) (*Config, error) {
	app, f := newApp()
	if err := cli.Parse(app, args); err != nil {
		return nil, err
	}
	return f.config()
}

// App returns the application with all flags, for tests and documentation of the flags.
func App() *kingpin.Application {
	app, _ := newApp()
	return app
}

// SettingName returns how the user names a setting of a module or a target, given the setting's key in a configuration file:
// "--kamailio.timeout" for "timeout".
func SettingName(key string) string { return "--" + flagOf(key) }

// config checks the flags against each other and makes the configuration.
func (f *flags) config() (*Config, error) {
	web, err := f.webConfig()
	if err != nil {
		return nil, err
	}
	target, err := f.target()
	if err != nil {
		return nil, err
	}
	return &Config{Web: web, Log: f.log, Target: target}, nil
}

// target returns the target of --kamailio.scrape-uri.
func (f *flags) target() (*Target, error) {
	uri, err := dial.ParseTarget(f.scrapeURI)
	if err != nil {
		return nil, wrong("kamailio.scrape-uri", err)
	}
	module, err := f.moduleConfig()
	if err != nil {
		return nil, err
	}
	if method := module.binrpcOnly(); method != "" && uri.Protocol == dial.JSONRPC {
		return nil, wrong("kamailio.methods", fmt.Errorf("%s is not answered over JSON-RPC, or only in part: use a socket of the Kamailio module ctl, or do not name the method", method))
	}
	client, err := f.httpClient()
	if err != nil {
		return nil, wrong("kamailio.http-config.file", err)
	}
	target := &Target{URI: uri, Module: module, HTTP: client}
	if f.xhttpPromURL != "" {
		if target.XHTTPProm, err = xhttpprom.NewClient(f.xhttpPromURL, client); err != nil {
			return nil, wrong("kamailio.xhttp-prom-url", fmt.Errorf("%q: %w", cli.Redacted(f.xhttpPromURL), err))
		}
	}
	return target, nil
}

// moduleConfig returns the module that the flags make.
func (f *flags) moduleConfig() (*Module, error) {
	module := &f.module
	module.Settings.NoLegacySeries = !f.legacySeries
	err := module.resolve()
	if e, ok := errors.AsType[*settingError](err); ok {
		return nil, wrong(flagOf(e.setting), e.err)
	}
	return module, err
}

// httpClient returns the client for http:// and https:// URIs.
func (f *flags) httpClient() (*http.Client, error) {
	settings := &promconfig.HTTPClientConfig{}
	if f.httpConfigFile != "" {
		var err error
		if settings, _, err = promconfig.LoadHTTPConfigFile(f.httpConfigFile); err != nil {
			return nil, fileError(f.httpConfigFile, err)
		}
	}
	return promconfig.NewClientFromConfig(*settings, "kamailio", promconfig.WithHTTP2Disabled())
}

// webConfig returns the configuration of the pages.
func (f *flags) webConfig() (Web, error) {
	if err := toolkit.Validate(*f.web.Listen.WebConfigFile); err != nil {
		return Web{}, wrong("web.config.file", fileError(*f.web.Listen.WebConfigFile, err))
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
	web.ExporterMetrics = !f.disableExporterMetrics
	return web, nil
}

// wrong returns an error that names the flag it is about.
func wrong(flag string, err error) error { return fmt.Errorf("--%s: %w", flag, err) }

// yamlValue matches the value that an error of package yaml quotes.
var yamlValue = regexp.MustCompile("`.*`")

// fileError returns the error of a configuration file with the file's name, and without the values that it quotes, which may
// be passwords.
func fileError(file string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return fmt.Errorf("%s: %s", file, yamlValue.ReplaceAllString(err.Error(), "a value"))
}
