package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/web"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// methodAuto is the name for every method that Kamailio has and whose cost does not
// grow with the traffic.
const methodAuto = "auto"

// flags are the values of the command line.
type flags struct {
	scrapeURI              string
	methods                []string
	timeout                time.Duration
	settings               collector.Settings
	legacySeries           bool
	httpConfigFile         string
	xhttpPromURL           string
	telemetryPath          string
	externalURL            string
	routePrefix            string
	maxRequests            int
	disableExporterMetrics bool
	web                    *toolkit.FlagConfig
	log                    promslog.Config
}

// parseFlags ends the program if args are wrong.
func parseFlags(args []string) *flags {
	app, f := newApp()
	if err := cli.Parse(app, args); err != nil {
		cli.Fatal(app, fmt.Errorf("%w, try --help", err))
	}
	return f
}

// newApp returns an application, and the flags that it sets when it parses.
func newApp() (*kingpin.Application, *flags) {
	f := &flags{}
	app := cli.New("kamailio_exporter", "Prometheus exporter for the Kamailio SIP server.")
	f.addWebFlags(app)
	f.addKamailioFlags(app)
	promslogflag.AddFlags(app, &f.log)
	app.GetFlag(promslogflag.LevelFlagName).Help("Lowest severity of log lines: debug, info, warn or error.").
		SetValue(cli.OneOf(f.log.Level, promslog.LevelFlagOptions))
	app.GetFlag(promslogflag.FormatFlagName).Help("Format of log lines: logfmt or json.").
		SetValue(cli.OneOf(f.log.Format, promslog.FormatFlagOptions))
	return app, f
}

func (f *flags) addWebFlags(app *kingpin.Application) {
	f.web = kingpinflag.AddFlags(app, ":9494")
	if socket := app.GetFlag("web.systemd-socket"); socket != nil { // on Linux only
		socket.Help("Listen on the sockets that systemd passes, instead of --web.listen-address.")
	}
	app.GetFlag("web.config.file").Help("File with TLS and authentication settings for the exporter's own pages, in the format of " +
		"https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md.").PlaceHolder("FILE")
	app.GetFlag("web.listen-address").Help("Address to listen on: :port, host:port, [address]:port or vsock://:port. Can be repeated.").
		Short('l').SetValue((*listenAddresses)(f.web.WebListenAddresses))
	app.Flag("web.telemetry-path", "Path of the page with the metrics.").
		Default("/metrics").StringVar(&f.telemetryPath)
	app.Flag("web.external-url", "URL at which users reach the exporter, for example through a reverse proxy. If it has a path, the paths of all pages start with it.").
		PlaceHolder("URL").StringVar(&f.externalURL)
	app.Flag("web.route-prefix", "Prefix of the paths of all pages, --web.telemetry-path included. Defaults to the path of --web.external-url.").
		PlaceHolder("PATH").StringVar(&f.routePrefix)
	app.Flag("web.max-requests", "Maximum number of requests for metrics that are answered at once. More requests wait for their scrape timeout, and then get status 503.").
		Default("40").SetValue(&cli.Int{Value: &f.maxRequests, Min: 1, Max: math.MaxInt32})
	app.Flag("web.disable-exporter-metrics", "Leave out the metrics of the exporter's own process (go_*, process_*, promhttp_*).").
		BoolVar(&f.disableExporterMetrics)
}

func (f *flags) addKamailioFlags(app *kingpin.Application) {
	app.Flag("kamailio.scrape-uri", "Where Kamailio listens for RPC. For the Kamailio module ctl: unix:/path, unixd:/path (a datagram socket), tcp://host:port or udp://host:port. "+
		"For the Kamailio module jsonrpcs: http://host:port/RPC, https://host:port/RPC, jsonrpc+unixgram:/path, jsonrpc+udp://host:port or jsonrpc+tcp://host:port.").
		Short('u').Default("unix:/var/run/kamailio/kamailio_ctl").StringVar(&f.scrapeURI)
	app.Flag("kamailio.methods", "RPC methods to call, separated by commas. auto is every method that Kamailio has and whose cost does not grow with the traffic. The methods are: "+
		describeMethods()+".").
		Short('m').Default(methodAuto).SetValue(names(&f.methods))
	app.Flag("kamailio.timeout", "Longest time that a scrape may take. If Prometheus' scrape timeout is shorter, that applies.").
		Short('t').Default("5s").SetValue((*cli.Duration)(&f.timeout))
	app.Flag("kamailio.max-series", "Largest number of series of one method. Series above it are dropped, counted and logged. 0 means no limit.").
		Default("100000").SetValue(&cli.Int{Value: &f.settings.MaxSeries, Min: 0, Max: math.MaxInt32})
	app.Flag("kamailio.short", "RPC methods to show in their short form, which has fewer series, separated by commas. These methods have one: "+
		shortMethods()+".").
		PlaceHolder("METHODS").SetValue(names(&f.settings.Short))
	app.Flag("kamailio.stats-groups", "Statistics to show as kamailio_stats_fetch_value too, if --kamailio.methods names stats.fetch, separated by commas: "+
		"groups, full names such as script:my_calls, or all. If Kamailio cannot send all statistics at once, list your own groups here as well.").
		Default("script").SetValue(names(&f.settings.StatsGroups))
	app.Flag("kamailio.dialog-profiles", "Profiles of the Kamailio module dialog in which to count the dialogs (with dlg.profile_get_size), as profile or profile:value, separated by commas.").
		PlaceHolder("PROFILES").SetValue(&commaList[collector.DialogProfile]{&f.settings.DialogProfiles, collector.ParseDialogProfile})
	app.Flag("kamailio.htable-keys", "Keys of the Kamailio module htable whose values to read (with htable.get), as table=>key or table:key, separated by commas.").
		PlaceHolder("KEYS").SetValue(&commaList[collector.HtableKey]{&f.settings.HtableKeys, collector.ParseHtableKey})
	app.Flag("kamailio.legacy-series", "Show the series of v0 to v2 even where a newer series has the same value. --no-kamailio.legacy-series leaves them out.").
		Default("true").BoolVar(&f.legacySeries)
	app.Flag("kamailio.http-config.file", "File with the HTTP client settings for http:// and https:// URIs, in the format of Prometheus' http_config: tls_config, basic_auth and so on.").
		PlaceHolder("FILE").StringVar(&f.httpConfigFile)
	app.Flag("kamailio.xhttp-prom-url", "URL of the metrics page of the Kamailio module xhttp_prom, for example http://127.0.0.1:5060/metrics. Metrics that the routing script defines are read from it.").
		PlaceHolder("URL").StringVar(&f.xhttpPromURL)
}

// prefix returns what the paths of all pages start with. An error names the flag that
// is wrong.
func (f *flags) prefix() (string, error) {
	external, err := web.ParseExternalURL(f.externalURL)
	if err != nil {
		return "", fmt.Errorf("--web.external-url: %q: %w", cli.Redacted(f.externalURL), err)
	}
	flag := "web.route-prefix"
	if f.routePrefix == "" {
		flag = "web.external-url"
	}
	prefix, err := web.RoutePrefix(f.routePrefix, external)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	return prefix, nil
}

// target returns the client and the options for the Kamailio that the flags name.
// An error names the flag that is wrong.
func (f *flags) target(logger *slog.Logger) (*dial.Client, scrape.Options, error) {
	options := scrape.Options{Settings: f.settings, Logger: logger, Timeout: web.Budget(f.timeout)}
	wrong := func(flag string, err error) (*dial.Client, scrape.Options, error) {
		return nil, options, fmt.Errorf("--%s: %w", flag, err)
	}
	target, err := dial.ParseTarget(f.scrapeURI)
	if err != nil {
		return wrong("kamailio.scrape-uri", err)
	}
	options.URI = target.Redacted()
	options.JSONRPC = target.Protocol == dial.JSONRPC
	if options.Named, options.Auto, err = f.collectors(); err != nil {
		return wrong("kamailio.methods", err)
	}
	if options.JSONRPC {
		for _, c := range options.Named {
			if c.BINRPCOnly {
				return wrong("kamailio.methods", fmt.Errorf("%s is not answered over JSON-RPC, or only in part: use a socket of the Kamailio module ctl, or do not name the method", c.Method))
			}
		}
	}
	options.Settings.Named = f.methods
	options.Settings.NoLegacySeries = !f.legacySeries
	if err := f.checkShort(); err != nil {
		return wrong("kamailio.short", err)
	}
	client, err := f.httpClient()
	if err != nil {
		return wrong("kamailio.http-config.file", err)
	}
	if options.UserMetrics, err = f.userMetrics(client); err != nil {
		return wrong("kamailio.xhttp-prom-url", err)
	}
	return dial.NewTarget(target, dial.Options{HTTP: client}), options, nil
}

// collectors returns the collectors of the methods that --kamailio.methods names,
// and reports whether it names auto.
func (f *flags) collectors() (named []*collector.Collector, auto bool, err error) {
	methods := slices.DeleteFunc(slices.Clone(f.methods), func(method string) bool { return method == methodAuto })
	if named, err = collector.Select(methods); err != nil {
		return nil, false, err
	}
	for _, c := range named {
		if c.Flag != "" && len(c.Calls(f.settings)) == 0 {
			return nil, false, fmt.Errorf("%s needs --%s too, which names what to read", c.Method, strings.TrimPrefix(c.Flag, "--"))
		}
	}
	// A method whose own flag is set counts as named, so that its failure is reported.
	for _, c := range collector.All {
		if c.Flag != "" && len(c.Calls(f.settings)) > 0 && !slices.Contains(named, c) {
			named = append(named, c)
		}
	}
	return named, len(methods) < len(f.methods), nil
}

// checkShort returns an error for a method that has no short form.
func (f *flags) checkShort() error {
	for _, method := range f.settings.Short {
		if !slices.ContainsFunc(collector.All, func(c *collector.Collector) bool { return c.Short && c.Method == method }) {
			return fmt.Errorf("%q has no short form, there is one for %s", method, shortMethods())
		}
	}
	return nil
}

// userMetrics returns the client for the metrics page of the Kamailio module
// xhttp_prom, or nil if --kamailio.xhttp-prom-url is not set.
func (f *flags) userMetrics(client *http.Client) (*xhttpprom.Client, error) {
	if f.xhttpPromURL == "" {
		return nil, nil //nolint:nilnil // it is optional
	}
	page, err := xhttpprom.NewClient(f.xhttpPromURL, client)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", cli.Redacted(f.xhttpPromURL), err)
	}
	return page, nil
}

// httpClient returns the client for http:// and https:// URIs.
func (f *flags) httpClient() (*http.Client, error) {
	settings := &config.HTTPClientConfig{}
	if f.httpConfigFile != "" {
		var err error
		if settings, _, err = config.LoadHTTPConfigFile(f.httpConfigFile); err != nil {
			return nil, fileError(f.httpConfigFile, err)
		}
	}
	return config.NewClientFromConfig(*settings, "kamailio", config.WithHTTP2Disabled())
}

// checkWebConfig returns an error for a file that the exporter-toolkit cannot use.
func (f *flags) checkWebConfig() error {
	if err := toolkit.Validate(*f.web.WebConfigFile); err != nil {
		return fmt.Errorf("--web.config.file: %w", fileError(*f.web.WebConfigFile, err))
	}
	return nil
}

// yamlValue matches the value that an error of package yaml quotes.
var yamlValue = regexp.MustCompile("`.*`")

// fileError returns the error of a configuration file with the file's name, and
// without the values that it quotes, which may be passwords.
func fileError(file string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return fmt.Errorf("%s: %s", file, yamlValue.ReplaceAllString(err.Error(), "a value"))
}

// describeMethods returns the list of the methods for the help. It says which ones
// auto does not call.
func describeMethods() string {
	var all []string
	for _, c := range collector.All {
		text := c.Method + " (" + c.Help + ")"
		if !c.Auto {
			text = c.Method + " (not in auto: " + c.Help + ")"
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// shortMethods returns the list of the methods that have a short form.
func shortMethods() string {
	var names []string
	for _, c := range collector.All {
		if c.Short {
			names = append(names, c.Method)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
