// Package mlog has what the driver calls of the library of this name, which no registry here has: the driver's log is klog's, and this only ends it.
package mlog

import (
	"context"
	"log"
)

type LogFormat string

const (
	FormatText LogFormat = "text"
	FormatJSON LogFormat = "json"
)

// ValidateAndSetKlogLevelAndFormatGlobally leaves klog as its own flags made it. level is a klog.Level.
func ValidateAndSetKlogLevelAndFormatGlobally[Level any](context.Context, Level, LogFormat) error {
	return nil
}

func Setup() func() { return func() {} }

func Error(message string, err error) { log.Printf("%s: %v", message, err) }

func Fatal(err error) { log.Fatal(err) }
