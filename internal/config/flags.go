package config

import (
	"math"
	"slices"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
)

// flags are the values of the command line.
type flags struct {
	scrapeURI              string
	module                 Module
	legacySeries           bool
	httpConfigFile         string
	xhttpPromURL           string
	web                    Web
	externalURL            string
	disableExporterMetrics bool
	log                    promslog.Config
}

// flagOf returns the flag of a setting of a module or a target, given the setting's key in a configuration file.
func flagOf(key string) string {
	switch key {
	case "uri":
		return "kamailio.scrape-uri"
	case "auth":
		return "kamailio.http-config.file"
	default:
		return "kamailio." + strings.ReplaceAll(key, "_", "-")
	}
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
	f.web.Listen = kingpinflag.AddFlags(app, ":9494")
	if socket := app.GetFlag("web.systemd-socket"); socket != nil { // on Linux only
		socket.Help("Listen on the sockets that systemd passes, instead of --web.listen-address.")
	}
	app.GetFlag("web.config.file").Help("File with TLS and authentication settings for the exporter's own pages, in the format of " +
		"https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md.").PlaceHolder("FILE")
	app.GetFlag("web.listen-address").Help("Address to listen on: :port, host:port, [address]:port or vsock://:port. Can be repeated.").
		Short('l').SetValue((*listenAddresses)(f.web.Listen.WebListenAddresses))
	app.Flag("web.telemetry-path", "Path of the page with the metrics.").
		Default("/metrics").StringVar(&f.web.TelemetryPath)
	app.Flag("web.external-url", "URL at which users reach the exporter, for example through a reverse proxy. If it has a path, the paths of all pages start with it.").
		PlaceHolder("URL").StringVar(&f.externalURL)
	app.Flag("web.route-prefix", "Prefix of the paths of all pages, --web.telemetry-path included. Defaults to the path of --web.external-url.").
		PlaceHolder("PATH").StringVar(&f.web.RoutePrefix)
	app.Flag("web.max-requests", "Maximum number of requests for metrics that are answered at once. More requests wait for their scrape timeout, and then get status 503.").
		Default("40").SetValue(&cli.Int{Value: &f.web.MaxRequests, Min: 1, Max: math.MaxInt32})
	app.Flag("web.disable-exporter-metrics", "Leave out the metrics of the exporter's own process (go_*, process_*, promhttp_*).").
		BoolVar(&f.disableExporterMetrics)
}

func (f *flags) addKamailioFlags(app *kingpin.Application) {
	app.Flag("kamailio.scrape-uri", "Where Kamailio listens for RPC. For the Kamailio module ctl: unix:/path, unixd:/path (a datagram socket), tcp://host:port or udp://host:port. "+
		"For the Kamailio module jsonrpcs: http://host:port/RPC, https://host:port/RPC, jsonrpc+unixgram:/path, jsonrpc+udp://host:port or jsonrpc+tcp://host:port.").
		Short('u').Default("unix:/var/run/kamailio/kamailio_ctl").StringVar(&f.scrapeURI)
	app.Flag("kamailio.methods", "RPC methods to call, separated by commas. auto is every method that Kamailio has and whose cost does not grow with the traffic. The methods are: "+
		describeMethods()+".").
		Short('m').Default(methodAuto).SetValue(names(&f.module.Settings.Named))
	app.Flag("kamailio.timeout", "Longest time that a scrape may take. If Prometheus' scrape timeout is shorter, that applies.").
		Short('t').Default("5s").SetValue((*cli.Duration)(&f.module.Timeout))
	app.Flag("kamailio.max-series", "Largest number of series of one method. Series above it are dropped, counted and logged. 0 means no limit.").
		Default("100000").SetValue(&cli.Int{Value: &f.module.Settings.MaxSeries, Min: 0, Max: math.MaxInt32})
	app.Flag("kamailio.short", "RPC methods to show in their short form, which has fewer series, separated by commas. These methods have one: "+
		strings.Join(shortMethods(), ", ")+".").
		PlaceHolder("METHODS").SetValue(names(&f.module.Settings.Short))
	app.Flag("kamailio.stats-groups", "Statistics to show as kamailio_stats_fetch_value too, if --kamailio.methods names stats.fetch, separated by commas: "+
		"groups, full names such as script:my_calls, or all. If Kamailio cannot send all statistics at once, list your own groups here as well.").
		Default("script").SetValue(names(&f.module.Settings.StatsGroups))
	app.Flag("kamailio.dialog-profiles", "Profiles of the Kamailio module dialog in which to count the dialogs (with dlg.profile_get_size), as profile or profile:value, separated by commas.").
		PlaceHolder("PROFILES").SetValue(&commaList[collector.DialogProfile]{&f.module.Settings.DialogProfiles, collector.ParseDialogProfile})
	app.Flag("kamailio.htable-keys", "Keys of the Kamailio module htable whose values to read (with htable.get), as table=>key or table:key, separated by commas.").
		PlaceHolder("KEYS").SetValue(&commaList[collector.HtableKey]{&f.module.Settings.HtableKeys, collector.ParseHtableKey})
	app.Flag("kamailio.legacy-series", "Show the series of v0 to v2 even where a newer series has the same value. --no-kamailio.legacy-series leaves them out.").
		Default("true").BoolVar(&f.legacySeries)
	app.Flag("kamailio.http-config.file", "File with the HTTP client settings for http:// and https:// URIs, in the format of Prometheus' http_config: tls_config, basic_auth and so on.").
		PlaceHolder("FILE").StringVar(&f.httpConfigFile)
	app.Flag("kamailio.xhttp-prom-url", "URL of the metrics page of the Kamailio module xhttp_prom, for example http://127.0.0.1:5060/metrics. Metrics that the routing script defines are read from it.").
		PlaceHolder("URL").StringVar(&f.xhttpPromURL)
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
