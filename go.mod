module github.com/kamailio-exporter/kamailio_exporter

go 1.26
