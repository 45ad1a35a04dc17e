package fakevendor

import (
	"errors"
	"fmt"
	"time"
)

// Kind is a way in which the image host misbehaves.
type Kind int

// Every way to misbehave.
const (
	Break      Kind = iota + 1 // the connection is cut after Percent of the body
	Stall                      // after Percent of the body nothing comes for Pause
	Slow                       // the body comes in twenty parts with Pause between
	Status                     // an error answer with Status and RetryAfter
	Partial                    // 206 with the first Percent, though no range was asked for
	Page                       // 200 with an HTML page
	WrongType                  // a PDF with the media type of the image
	Empty                      // 200 with no body
	Short                      // 200 with the first Percent, announced and ended as if it were all
	Redirect                   // 302 to Location
	Compressed                 // the body gzipped, though nobody asked for it
)

// Fault is one way to misbehave, for some or all requests for an image.
type Fault struct {
	Kind       Kind
	Image      int           // which image of the job, from 0
	Times      int           // how many requests it hits; 0 is every one
	Percent    int           // of the body, 0 to 100, for Break, Stall, Partial and Short
	Pause      time.Duration // for Stall and Slow; 0 is until the client has gone
	Status     int           // for Status
	RetryAfter time.Duration // for Status, in whole seconds; 0 says nothing
	Location   string        // for Redirect; "" is the image itself
	Struck     func()        // for Break, Stall and Slow: called each time it strikes; may be nil
}

func checkFaults(faults []Fault) error {
	for _, fault := range faults {
		switch {
		case fault.Kind < Break || fault.Kind > Compressed:
			return fmt.Errorf("no such kind of fault: %d", fault.Kind)
		case fault.Percent < 0 || fault.Percent > 100:
			return fmt.Errorf("a fault after %d %% of the body", fault.Percent)
		case fault.Kind == Status && (fault.Status < 400 || fault.Status > 599):
			return fmt.Errorf("a fault with status %d", fault.Status)
		case fault.Times < 0 || fault.Pause < 0 || fault.RetryAfter < 0:
			return errors.New("a fault with a negative number")
		}
	}
	return nil
}

// faultsOf picks the faults of one image; the copy is the plan's to change.
func faultsOf(faults []Fault, image int) plan[Fault] {
	var own []Fault
	for _, fault := range faults {
		if fault.Image == image {
			own = append(own, fault)
		}
	}
	return plan[Fault]{mishaps: own, times: func(f *Fault) *int { return &f.Times }}
}

// anyFault takes the faults as they come.
func anyFault(Fault) bool { return true }
