// The alerts and rules of kamailio_exporter as a mixin, https://monitoring.mixins.dev/. They are read from the YAML files, in which
// the defaults below are replaced by those of _config.
local defaults = {
  // Selects the jobs that scrape kamailio_exporter.
  jobSelector: 'job=~"(.*/)?kamailio.*"',
  // The URL of the directory with the runbooks, with a slash at the end.
  runbookURL: 'https://github.com/kamailio-exporter/kamailio_exporter/blob/main/docs/runbooks/',
};

local groups(text, config) = std.parseYaml(std.foldl(
  function(changed, name) std.strReplace(changed, defaults[name], config[name]), std.objectFields(defaults), text
)).groups;

{
  _config+:: defaults,
  prometheusAlerts+:: { groups+: groups(importstr 'alerts.yml', $._config) },
  prometheusRules+:: { groups+: groups(importstr 'rules.yml', $._config) },
}
