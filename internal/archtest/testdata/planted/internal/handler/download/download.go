// Package download is a handler that another one imports.
package download
