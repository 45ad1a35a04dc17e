package fakevendor

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
)

// Format is the kind of an image file.
type Format string

// The formats that the vendor offers.
const (
	PNG  Format = "png"
	JPEG Format = "jpeg"
	WebP Format = "webp"
)

// MediaType is the format's media type.
func (f Format) MediaType() string { return "image/" + string(f) }

func (f Format) extension() string {
	if f == JPEG {
		return "jpg"
	}
	return string(f)
}

// The bounds of a picture: what is painted is held in memory while it is
// encoded, what is made on the fly is not.
const (
	maxSide   = 16_383 // pixels; no WebP is wider or higher
	maxPixels = 16_000_000
	maxBytes  = 4 << 30
)

// picture names one image file: equal pictures are equal files.
type picture struct {
	format        Format
	width, height int
	bytes         int64
	seed          uint64
}

func checkPicture(format Format, width, height int, bytes int64) error {
	switch {
	case format != PNG && format != JPEG && format != WebP:
		return fmt.Errorf("no such format: %q", format)
	case bytes != 0 && (format != PNG || bytes < minLargeBytes || bytes > maxBytes):
		return fmt.Errorf("only a PNG can be of a chosen length, between %d and %d bytes", minLargeBytes, int64(maxBytes))
	case width < 1 || height < 1 || width > maxSide || height > maxSide || width*height > maxPixels:
		return fmt.Errorf("%d by %d pixels are not 1 to %d each and at most %d together", width, height, maxSide, maxPixels)
	}
	return nil
}

// landscape is hills under a sky with a sun, in the colours of its seed.
type landscape struct {
	width, height int
	top, bottom   color.RGBA // of the sky
	sun           color.RGBA
	sunX, sunY    float64 // pixels
	sunRadius     float64 // pixels
	hills         []hill  // from the farthest to the nearest
}

// hill is a range of hills: the height of its ridge, in pixels from above, for each column.
type hill struct {
	ridge []float64
	color color.RGBA
}

const hillRanges = 4

// paint paints the landscape of a seed.
func paint(width, height int, seed uint64) image.Image {
	scene := newLandscape(width, height, rand.New(rand.NewPCG(seed, 0)))
	canvas := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			canvas.SetRGBA(x, y, scene.at(x, y))
		}
	}
	return canvas
}

func newLandscape(width, height int, random *rand.Rand) *landscape {
	hue := random.Float64()
	scene := &landscape{
		width: width, height: height,
		top:       fromHSV(hue, 0.7, 0.35+0.3*random.Float64()),
		bottom:    fromHSV(hue+0.12+0.3*random.Float64(), 0.45, 0.98),
		sun:       fromHSV(0.08+0.08*random.Float64(), 0.25, 1),
		sunX:      float64(width) * (0.15 + 0.7*random.Float64()),
		sunY:      float64(height) * (0.18 + 0.3*random.Float64()),
		sunRadius: float64(min(width, height)) * (0.06 + 0.08*random.Float64()),
	}
	for n := range hillRanges {
		near := float64(n+1) / hillRanges
		scene.hills = append(scene.hills, hill{
			ridge: ridge(width, height, near, random),
			color: fromHSV(hue+0.05*near, 0.35+0.3*near, 0.6-0.48*near),
		})
	}
	return scene
}

// ridge is a sum of waves: the nearer the hills, the lower on the picture and the longer.
func ridge(width, height int, near float64, random *rand.Rand) []float64 {
	const waves = 5
	var phase, length, size [waves]float64
	for n := range waves {
		phase[n] = random.Float64() * 2 * math.Pi
		length[n] = (1.2 - 0.5*near + random.Float64()) * math.Pow(1.9, float64(n))
		size[n] = 0.09 / math.Pow(1.9, float64(n))
	}
	heights := make([]float64, width)
	for x := range heights {
		at := 0.38 + 0.48*near
		for n := range waves {
			at += size[n] * math.Sin(phase[n]+length[n]*2*math.Pi*float64(x)/float64(width))
		}
		heights[x] = at * float64(height)
	}
	return heights
}

func (s *landscape) at(x, y int) color.RGBA {
	nearest := len(s.hills) - 1
	for nearest >= 0 && float64(y)-s.hills[nearest].ridge[x] < 1 {
		nearest-- // does not cover the point, or only its edge does
	}
	var painted color.RGBA
	if nearest < 0 {
		painted, nearest = s.sky(x, y), 0
	}
	for _, hill := range s.hills[nearest:] {
		if below := float64(y) - hill.ridge[x]; below > 0 {
			mist := min(below/float64(s.height), 0.25) // hills fade towards their foot
			painted = mix(painted, mix(hill.color, s.bottom, mist), min(below, 1))
		}
	}
	return painted
}

func (s *landscape) sky(x, y int) color.RGBA {
	sky := mix(s.top, s.bottom, min(1.4*float64(y)/float64(s.height), 1))
	distance := math.Hypot(float64(x)-s.sunX, float64(y)-s.sunY)
	glow := min(s.sunRadius/distance, 1)
	lit := mix(sky, s.sun, 0.5*glow*glow)
	return mix(lit, s.sun, min(max(s.sunRadius-distance, 0), 1))
}

// mix is a where share is 0 and b where it is 1.
func mix(a, b color.RGBA, share float64) color.RGBA {
	blend := func(a, b uint8) uint8 { return uint8(float64(a) + (float64(b)-float64(a))*share) }
	return color.RGBA{blend(a.R, b.R), blend(a.G, b.G), blend(a.B, b.B), 255}
}

// fromHSV makes a colour of hue (its fraction counts: 0 is red), saturation and value (0 to 1).
func fromHSV(hue, saturation, value float64) color.RGBA {
	part := func(shift float64) uint8 {
		_, turn := math.Modf(hue + shift)
		strength := min(max(math.Abs(turn*6-3)-1, 0), 1)
		return uint8(255 * value * (1 - saturation*(1-strength)))
	}
	return color.RGBA{part(1), part(2.0 / 3), part(1.0 / 3), 255}
}
