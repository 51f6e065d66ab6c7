module teal/tools/prometheus

go 1.26

require github.com/prometheus/prometheus v0.313.5
