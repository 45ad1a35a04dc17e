package configtypes_test

import (
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
)

type sample struct {
	Name    string           `default:"x"`
	Wait    time.Duration    `default:"2s"`
	Count   int              `default:"3"`
	Rate    float64          `default:"0.5"`
	Enabled bool             `default:"true"`
	Bytes   configtypes.Size `default:"4KiB"`
	None    int
}

func TestFillDefaults(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		config sample
		only   []string
		want   sample
	}{
		{name: "zero", want: sample{Name: "x", Wait: 2 * time.Second, Count: 3, Rate: 0.5, Enabled: true, Bytes: 4096}},
		{name: "set", config: sample{Name: "y", Count: 7}, want: sample{Name: "y", Wait: 2 * time.Second, Count: 7, Rate: 0.5, Enabled: true, Bytes: 4096}},
		{name: "only named", only: []string{"Wait"}, want: sample{Wait: 2 * time.Second}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := row.config
			if err := configtypes.FillDefaults(&got, row.only...); err != nil || got != row.want {
				t.Errorf("FillDefaults = %+v, %v, want %+v", got, err, row.want)
			}
		})
	}
}

func TestFillDefaultsReportsBadTags(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]any{
		"not a number": &struct {
			Count int `default:"many"`
		}{},
		"unsupported type": &struct {
			Count []int `default:"1"`
		}{},
	} {
		if err := configtypes.FillDefaults(config); err == nil {
			t.Errorf("%s: FillDefaults = no error, want one", name)
		}
	}
}
