package main

import (
	"fmt"
	"log/slog"

	"gateagent/config"
	"gateagent/drivers/barrier"
	"gateagent/drivers/serial"
	"gateagent/uplink"
)

// scannerLine is the serial line of one scanner.
func scannerLine(s config.Scanner, log *slog.Logger) serial.Config {
	return serial.Config{
		Path: s.Path, AllowUnstable: s.AllowUnstable, Baud: s.Baud, Framing: serial.Framing(s.Framing),
		MaxFrame: s.MaxFrame, IdleGap: s.IdleGap.Std(), Log: log,
	}
}

// relayLine is the serial line of the relay board.
func relayLine(c *config.Config, log *slog.Logger) serial.Config {
	o := c.Barrier
	return serial.Config{Path: o.Path, AllowUnstable: o.AllowUnstable, Baud: o.Baud, Framing: serial.FrameRaw, Log: log}
}

// barrierConfig takes over what the profile uses.
func barrierConfig(c *config.Config, log *slog.Logger) barrier.Config {
	o := c.Barrier
	cfg := barrier.Config{
		Profile: barrier.Profile(o.Profile), Pulse: o.Pulse.Std(), Window: o.Passage.Std(), EndOnPassage: o.EndOnPassage, Log: log,
	}
	if cfg.Profile == barrier.ProfileModbus {
		cfg.Active, cfg.Address, cfg.Relay, cfg.Input = barrier.Level(o.Active), byte(o.Address), o.Relay, o.Input
	} else {
		cfg.Open, cfg.Shut, cfg.Ack, cfg.Passed = o.Open, o.Shut, o.Ack, o.Passed
	}
	return cfg
}

// checkDevices lets the drivers judge their part of a configuration, without
// opening anything, so that `check` refuses what `run` would refuse.
func checkDevices(path string, c *config.Config) error {
	for i, s := range c.Scanner {
		if _, err := serial.New(scannerLine(s, nil)); err != nil {
			return fmt.Errorf("%s: scanner %d: %w", path, i+1, err)
		}
	}
	line, err := serial.New(relayLine(c, nil))
	if err == nil {
		_, err = barrier.New(barrierConfig(c, nil), line)
	}
	if err != nil {
		return fmt.Errorf("%s: barrier: %w", path, err)
	}
	return nil
}

// uplinkPaths takes the ways to central over from the configuration.
func uplinkPaths(c *config.Config) []uplink.Path {
	var out []uplink.Path
	for _, p := range c.Uplink.Paths {
		out = append(out, uplink.Path{Name: p.Name, Interface: p.Interface, Brokers: p.Brokers, Budget: int64(p.Budget), Period: p.Period})
	}
	return out
}
