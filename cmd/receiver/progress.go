package main

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress is a bar on a terminal and nothing elsewhere.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress(w io.Writer, total int, what string) *progress {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return &progress{}
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(),
	)
	_ = bar.RenderBlank() // so that it is there from the beginning
	return &progress{bar}
}

func (p *progress) set(done int) {
	if p.bar != nil {
		_ = p.bar.Set(done) // a screen that cannot be drawn on is no fault of the work
	}
}

// setOf is set for work whose extent is known only when it has begun.
func (p *progress) setOf(done, all int) {
	if p.bar != nil {
		p.bar.ChangeMax(all)
		p.set(done)
	}
}

// clear takes the bar away, so that a line can be printed in its place; set draws it again.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

func (p *progress) close() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
