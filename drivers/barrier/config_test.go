package barrier

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

func modbusConfig() Config {
	return Config{Profile: ProfileModbus, Active: EnergisedOpens, Relay: 1, Input: 1, Pulse: 700 * time.Millisecond}
}

// TestModbusCommands holds the examples of Waveshare's protocol page.
func TestModbusCommands(t *testing.T) {
	c := modbusConfig()
	m, err := c.check()
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, got []byte, want string) {
		t.Helper()
		if hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, want %s", name, got, want)
		}
	}
	check("flash on 700 ms", m.open, "0105020000078db0")
	check("off", m.shut, "010500000000cdca")
	check("inputs", m.poll, "01020000000879cc")

	c = Config{Profile: ProfileModbus, Active: EnergisedShuts, Relay: 1, Pulse: 800 * time.Millisecond}
	if m, err = c.check(); err != nil {
		t.Fatal(err)
	}
	check("on", m.shut, "01050000ff008c3a")
	if m.open[2] != 4 || m.open[5] != 8 || m.poll != nil {
		t.Errorf("flash off %x, poll %x", m.open, m.poll)
	}
}

func TestInputState(t *testing.T) {
	answer := seal(1, 2, 1, 0x05)
	poll := seal(1, 2, 0, 0, 0, 8)
	for name, c := range map[string]struct {
		in string
		ok bool
	}{
		"whole":       {string(answer), true},
		"after noise": {"\x00\xff\x01\x02" + string(answer), true},
		"cut":         {string(answer[:5]), false},
		"wrong crc":   {string(answer[:5]) + "\x00", false},
		"another":     {string(seal(2, 2, 1, 5)), false},
	} {
		if state, ok := inputState(poll, []byte(c.in)); ok != c.ok || ok && state != 5 {
			t.Errorf("%s: %v %d", name, ok, state)
		}
	}
}

func TestTemplates(t *testing.T) {
	d := 1500 * time.Millisecond
	for in, want := range map[string]string{
		`SR 1 on %{ms}\r\n`:       "SR 1 on 1500\r\n",
		`\xA0\x01%{ds:1}\\`:       "\xa0\x01\x0f\\",
		`%{ds:2}|%{ms:2}|100%%\t`: "\x00\x0f|\x05\xdc|100%\t",
		`plain`:                   "plain",
	} {
		got, timed, err := expand(in, d)
		if err != nil || string(got) != want || timed != strings.Contains(in, "%{") {
			t.Errorf("%s: %q, %v, %v", in, got, timed, err)
		}
	}
	for _, in := range []string{`\`, `\q`, `\x1`, `\xzz`, `%`, `%d`, `%{`, `%{h}`, `%{s}`, `%{ms:1}`, `%{ms:3}`, strings.Repeat("x", 65)} {
		if got, _, err := expand(in, d); err == nil {
			t.Errorf("%s: accepted as %q", in, got)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	timed := func(change func(*Config)) Config {
		c := Config{Profile: ProfileTimed, Open: "on %{ms}", Shut: "off"}
		change(&c)
		return c
	}
	modbus := func(change func(*Config)) Config { c := modbusConfig(); change(&c); return c }
	for name, c := range map[string]Config{
		"zero":             {},
		"profile":          modbus(func(c *Config) { c.Profile = "dtr" }),
		"no level":         modbus(func(c *Config) { c.Active = "" }),
		"bad level":        modbus(func(c *Config) { c.Active = "high" }),
		"no relay":         modbus(func(c *Config) { c.Relay = 0 }),
		"relay":            modbus(func(c *Config) { c.Relay = 33 }),
		"input":            modbus(func(c *Config) { c.Input = 9 }),
		"address":          modbus(func(c *Config) { c.Address = 248 }),
		"short pulse":      modbus(func(c *Config) { c.Pulse = 99 * time.Millisecond }),
		"long pulse":       modbus(func(c *Config) { c.Pulse = time.Minute }),
		"negative pulse":   modbus(func(c *Config) { c.Pulse = -time.Second }),
		"odd pulse":        modbus(func(c *Config) { c.Pulse = 150 * time.Millisecond }),
		"window":           modbus(func(c *Config) { c.Window = time.Hour }),
		"template":         modbus(func(c *Config) { c.Open = "on" }),
		"no time":          timed(func(c *Config) { c.Open = "on" }),
		"time in shut":     timed(func(c *Config) { c.Shut = "off %{ms}" }),
		"no shut":          timed(func(c *Config) { c.Shut = "" }),
		"level with timed": timed(func(c *Config) { c.Active = EnergisedOpens }),
		"bad template":     timed(func(c *Config) { c.Ack = `\q` }),
	} {
		if _, err := New(c, nil); err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.HasPrefix(err.Error(), "barrier: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(timed(func(*Config) {}), nil); err != nil {
		t.Error(err)
	}
}
