// Package telemetry breaks nothing.
package telemetry
