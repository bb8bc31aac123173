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
	configFile             string
	checkConfig            bool
	expandEnvironment      bool
	once                   bool
	onceTarget             string
	// given reports for each flag of a target or a module whether it is on the command line.
	given map[string]*bool
}

// flagOf returns the flag of a setting of a module or a target, given the setting's key in a configuration file.
func flagOf(key string) string {
	switch key {
	case "uri":
		return "kamailio.scrape-uri"
	case "auth":
		return "kamailio.http-config.file"
	case "sip":
		return "kamailio.sip-probe"
	default:
		return "kamailio." + strings.ReplaceAll(key, "_", "-")
	}
}

// keyOf returns the key of a configuration file for a flag of a module, with or without the dashes in front of it.
func keyOf(flag string) string {
	if strings.TrimPrefix(flag, "--") == flagOf("sip") {
		return "sip"
	}
	return strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(flag, "--"), "kamailio."), "-", "_")
}

// newApp returns an application, and the flags that it sets when it parses.
func newApp() (*kingpin.Application, *flags) {
	f := &flags{given: map[string]*bool{}}
	app := cli.New("kamailio_exporter", "Prometheus exporter for the Kamailio SIP server. Its commands are check and custom-metrics test.")
	addHelpMethods(app)
	f.addWebFlags(app)
	f.addKamailioFlags(app)
	f.addConfigFlags(app)
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
		socket.Help("Listen on the sockets that systemd passes.")
	}
	app.GetFlag("web.config.file").Help("File with TLS settings and passwords for the exporter's pages.").PlaceHolder("FILE")
	app.GetFlag("web.listen-address").Help("Where to listen: :port, host:port or vsock://:port. Repeatable.").
		Short('l').SetValue((*listenAddresses)(f.web.Listen.WebListenAddresses))
	app.Flag("web.telemetry-path", "Path of the page with the metrics.").
		Default("/metrics").StringVar(&f.web.TelemetryPath)
	app.Flag("web.external-url", "URL at which users reach the exporter through a reverse proxy.").
		PlaceHolder("URL").StringVar(&f.externalURL)
	app.Flag("web.route-prefix", "Prefix of all paths. Default: the path of --web.external-url.").
		PlaceHolder("PATH").StringVar(&f.web.RoutePrefix)
	app.Flag("web.max-requests", "Maximum concurrent requests. Default: 40 + 1 per target.").
		PlaceHolder("N").SetValue(&cli.Int{Value: &f.web.MaxRequests, Min: 1, Max: math.MaxInt32})
	app.Flag("web.enable-lifecycle", "Reload --config.file on POST requests to /-/reload.").
		BoolVar(&f.web.Lifecycle)
	app.Flag("web.disable-exporter-metrics", "Drop go_*, process_* and promhttp_*.").
		BoolVar(&f.disableExporterMetrics)
}

func (f *flags) addKamailioFlags(app *kingpin.Application) {
	app.Flag("kamailio.scrape-uri", "RPC socket of ctl (unix:/path, unixd:/path, tcp://host:port, udp://…) or jsonrpcs "+
		"(http://host:port/RPC, https://…, jsonrpc+unixgram:/path, jsonrpc+udp://…, jsonrpc+tcp://…).").
		Short('u').Default("unix:/var/run/kamailio/kamailio_ctl").StringVar(&f.scrapeURI)
	app.Flag("kamailio.methods", "RPC methods to call, see --help-methods. auto: all cheap ones.").
		Short('m').Default(methodAuto).SetValue(names(&f.module.Settings.Named))
	app.Flag("kamailio.timeout", "Longest time of a scrape. A shorter timeout of Prometheus applies.").
		Short('t').Default("5s").SetValue((*cli.Duration)(&f.module.Timeout))
	app.Flag("kamailio.max-series", "Maximum number of series of one method. 0 means no limit.").
		Default("100000").SetValue(maxSeries(&f.module))
	app.Flag("kamailio.short", "Fewer series for "+strings.Join(shortMethods(), ", ")+".").
		PlaceHolder("METHODS").SetValue(names(&f.module.Settings.Short))
	app.Flag("kamailio.stats-groups", "Statistics for kamailio_stats_fetch_value if -m names stats.fetch: groups, full names (script:my_calls) or all.").
		Default("script").SetValue(names(&f.module.Settings.StatsGroups))
	app.Flag("kamailio.dialog-profiles", "Profiles in which to count dialogs: profile or profile:value.").
		PlaceHolder("PROFILES").SetValue(&commaList[collector.DialogProfile]{&f.module.Settings.DialogProfiles, collector.ParseDialogProfile})
	app.Flag("kamailio.htable-keys", "Keys of hash tables to read: table=>key or table:key.").
		PlaceHolder("KEYS").SetValue(&commaList[collector.HtableKey]{&f.module.Settings.HtableKeys, collector.ParseHtableKey})
	app.Flag("kamailio.shv", "Shared variables $shv(name) of Kamailio to read, by name.").
		PlaceHolder("NAMES").SetValue(&commaList[string]{&f.module.Settings.SharedVariables, collector.ParseSharedVariable})
	app.Flag("kamailio.kafka-topics", "Topics of Kafka whose messages to count.").
		PlaceHolder("TOPICS").SetValue(&commaList[string]{&f.module.Settings.KafkaTopics, collector.ParseKafkaTopic})
	app.Flag("kamailio.sip-probe", "SIP sockets to send OPTIONS to: off, auto, or sip: and sips: URIs.").
		Default(sipOff).SetValue(sipFlag{&f.module.SIP})
	app.Flag("kamailio.host", "Show processes and queues of this host: auto, on, full or off.").
		Default(string(HostAuto)).SetValue(&f.module.Host)
	app.Flag("kamailio.legacy-series", "Show series of v0 to v2 even if a newer one has the same value.").
		Default("true").BoolVar(&f.legacySeries)
	app.Flag("kamailio.http-config.file", "File with Prometheus' http_config for http:// and https:// URIs.").
		PlaceHolder("FILE").StringVar(&f.httpConfigFile)
	app.Flag("kamailio.xhttp-prom-url", "URL of the page of the Kamailio module xhttp_prom.").
		PlaceHolder("URL").StringVar(&f.xhttpPromURL)
	for _, flag := range app.Model().Flags {
		if strings.HasPrefix(flag.Name, "kamailio.") {
			f.given[flag.Name] = new(bool)
			app.GetFlag(flag.Name).IsSetByUser(f.given[flag.Name])
		}
	}
}

func (f *flags) addConfigFlags(app *kingpin.Application) {
	app.Flag("config.file", "YAML file with targets and modules. SIGHUP reloads it.").
		PlaceHolder("FILE").StringVar(&f.configFile)
	app.Flag("config.check", "Check all flags and --config.file, and exit with status 0 or 1.").
		BoolVar(&f.checkConfig)
	app.Flag("config.expand-environment", "Allow $NAME for secrets in --config.file.").
		BoolVar(&f.expandEnvironment)
	app.Flag("once", "Scrape once, print the metrics, and exit with status 0 or 1.").
		BoolVar(&f.once)
	app.Flag("target", "Target of --config.file for --once and check.").
		PlaceHolder("NAME").StringVar(&f.onceTarget)
}

// maxSeries returns the value of the maximum number of series of a method.
func maxSeries(module *Module) kingpin.Value {
	return &cli.Int{Value: &module.Settings.MaxSeries, Min: 0, Max: math.MaxInt32}
}

// givenModuleFlags returns the flags of a module that are on the command line, sorted.
func (f *flags) givenModuleFlags() []string {
	var given []string
	for flag, isGiven := range f.given {
		if *isGiven && !slices.Contains(targetFlags, flag) {
			given = append(given, "--"+flag)
		}
	}
	slices.Sort(given)
	return given
}

// targetFlags are the flags of a target, which are not settings of its module.
var targetFlags = []string{"kamailio.http-config.file", "kamailio.scrape-uri", "kamailio.xhttp-prom-url"}
