package house

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"gateagent/config"
	"gateagent/drivers/barrier"
)

// tomlBlock finds the examples of a page.
var tomlBlock = regexp.MustCompile("(?s)```toml\n(.*?)```")

// barrierTable is the table of the reference file that an example replaces.
var barrierTable = regexp.MustCompile(`(?ms)^\[barrier\]\n.*?^(\[trust\])`)

// tryBarrier checks an example as the agent would: as a part of a whole
// configuration, and by the driver.
func tryBarrier(reference, example string) error {
	text := barrierTable.ReplaceAllStringFunc(reference, func(string) string { return example + "\n[trust]" })
	if !strings.Contains(text, example) {
		return errors.New("the reference file has no [barrier] before [trust]")
	}
	c, err := config.Parse("example.toml", []byte(text))
	if err != nil {
		return err
	}
	b := c.Barrier
	bc := barrier.Config{
		Profile: barrier.Profile(b.Profile), Pulse: b.Pulse.Std(), Window: b.Passage.Std(), EndOnPassage: b.EndOnPassage,
		Open: b.Open, Shut: b.Shut, Ack: b.Ack, Passed: b.Passed,
	}
	if bc.Profile == barrier.ProfileModbus {
		bc.Active, bc.Address, bc.Relay, bc.Input = barrier.Level(b.Active), byte(b.Address), b.Relay, b.Input
	}
	_, err = barrier.New(bc, nil)
	return err
}

func TestBarrierPage(t *testing.T) {
	reference := readText(t, "config/gateagent.toml")
	examples := tomlBlock.FindAllStringSubmatch(readText(t, "docs/barrier.md"), -1)
	if len(examples) < 4 {
		t.Fatalf("only %d examples were found", len(examples))
	}
	for i, e := range examples {
		if err := tryBarrier(reference, e[1]); err != nil {
			t.Errorf("example %d: %v", i+1, err)
		}
	}
	good := examples[0][1]
	for _, wrong := range []string{
		strings.Replace(good, "500ms", "550ms", 1), strings.Replace(good, "energised_opens", "opens", 1), strings.Replace(good, "relay", "relais", 1),
	} {
		if tryBarrier(reference, wrong) == nil {
			t.Errorf("a wrong example was taken:\n%s", wrong)
		}
	}
}
