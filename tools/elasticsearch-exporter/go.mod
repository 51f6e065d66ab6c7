module teal/tools/elasticsearch-exporter

go 1.26

require github.com/prometheus-community/elasticsearch_exporter v1.9.0
