package main

import (
	"io"

	"github.com/schollz/progressbar/v3"
)

// progress is a progress bar on a terminal, and prints nothing elsewhere.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress(w io.Writer, total int, what string) *progress {
	if !isTerminal(w) {
		return &progress{}
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(),
	)
	_ = bar.RenderBlank() // show it before the first step
	return &progress{bar}
}

func (p *progress) set(done int) {
	if p.bar != nil {
		_ = p.bar.Set(done) // a terminal that cannot be written to must not fail the command
	}
}

// setOf sets the number of steps as well.
func (p *progress) setOf(done, all int) {
	if p.bar != nil {
		p.bar.ChangeMax(all)
		p.set(done)
	}
}

// clear removes the bar so that a line can be printed; set shows it again.
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
