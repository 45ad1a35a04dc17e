package loadtest

import "time"

// Scenario is a load: how many callbacks, of which images, with which faults.
type Scenario struct {
	Name     string        `json:"name"`
	Says     string        `json:"description"`
	Rate     float64       `json:"rate"`     // callbacks a second; of a ramp, of its first step
	Duration time.Duration `json:"duration"` // in nanoseconds; of a ramp, of each step
	Ramp     bool          `json:"ramp,omitempty"`
	History  int           `json:"history,omitempty"` // events that the receiver already has

	Image  Image         `json:"image"`
	Images int           `json:"images"`          // of each event; 0 is 1
	Body   int           `json:"body,omitempty"`  // bytes that the callback echoes of the request; 0 is a small one
	Pause  time.Duration `json:"pause,omitempty"` // of a slow transfer, between each twentieth of the image
	Shares Shares        `json:"shares"`
}

// Image is the size of each image: pixels, or bytes.
type Image struct {
	Width  int   `json:"width,omitempty"`
	Height int   `json:"height,omitempty"`
	Bytes  int64 `json:"bytes,omitempty"`
}

// Shares are the shares of callbacks and images with a fault, each from 0 to 1.
type Shares struct {
	Duplicate float64 `json:"duplicate"` // sent once more
	Forged    float64 `json:"forged"`    // one more with a wrong token
	Broken    float64 `json:"broken"`    // the first transfer breaks in the middle
	Slow      float64 `json:"slow"`      // with Pause
}

// The bounds of a scenario.
const (
	maxRate      = 20_000
	maxEvents    = 500_000
	maxBody      = 16 << 20
	rampFactor   = 1.3
	maxRampSteps = 40
	rampTries    = 2 // of a step that is not good: the machine may have been busy
	rampP99      = 50 * time.Millisecond
)

// Scenarios returns all scenarios.
func Scenarios() []Scenario {
	small := Image{Width: 26, Height: 26}
	usual := Shares{Duplicate: 0.05, Forged: 0.02, Broken: 0.02, Slow: 0.01}
	const pause = 5 * time.Millisecond
	return []Scenario{
		{
			Name: "steady", Says: "a constant rate, with duplicates, forged callbacks, slow and broken transfers",
			Rate: 100, Duration: 30 * time.Second, Image: Image{Width: 320, Height: 200}, Shares: usual, Pause: pause,
		},
		{
			Name: "burst", Says: "many at once, and the time until all are stored", Rate: 1500, Duration: 4 * time.Second,
			Image: small, Shares: usual, Pause: pause,
		},
		{
			Name: "ramp", Says: "the largest rate with p99 below 50 ms and nothing refused", Ramp: true, Rate: 50, Duration: 5 * time.Second,
			Image: small,
		},
		{
			Name: "soak", Says: "half an hour at a moderate rate", Rate: 50, Duration: 30 * time.Minute,
			Image: Image{Width: 320, Height: 200}, Shares: usual, Pause: pause,
		},
		{Name: "large", Says: "images of 50 MiB", Rate: 1, Duration: 16 * time.Second, Image: Image{Bytes: 50 << 20}, Shares: Shares{Broken: 0.2}},
		{
			Name: "small", Says: "events with sixteen small images each", Rate: 20, Duration: 20 * time.Second,
			Image: small, Images: 16, Shares: usual, Pause: pause,
		},
		{
			Name: "slow", Says: "a host that takes two seconds for each image", Rate: 5, Duration: 20 * time.Second,
			Image: Image{Width: 320, Height: 200}, Shares: Shares{Slow: 1}, Pause: 100 * time.Millisecond,
		},
		{
			Name: "history", Says: "the steady load on a receiver with a million events", Rate: 100, Duration: 30 * time.Second,
			Image: Image{Width: 320, Height: 200}, Shares: usual, Pause: pause, History: 1_000_000,
		},
	}
}
