package clock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"gateagent/internal/durable"
)

// FileName is what the file is called in a kiosk's state folder.
const FileName = "clock.json"

const (
	keepVersion = 1
	maxFile     = 4 << 10
	// saveEvery bounds what the hardware clock has to bridge after a power
	// cut, and what a clock that is set back can hide; a new source is written
	// down at once. It costs some 200 KiB an hour.
	saveEvery = 5 * time.Minute
	// lookEvery keeps the anchor fresh although nobody asks for the time.
	lookEvery = 10 * time.Second
)

// kept is the file: an anchor with everything that can carry it on.
type kept struct {
	V      int           `json:"v"`
	Signed time.Time     `json:"signed,omitzero"` // newest time under a valid signature
	Time   time.Time     `json:"time,omitzero"`   // trusted time when this was written; zero: there was none
	Origin Origin        `json:"origin,omitempty"`
	Spoke  time.Time     `json:"spoke,omitzero"` // when the source last spoke
	BootID string        `json:"boot_id,omitempty"`
	Boot   time.Duration `json:"boot_ns,omitempty"`
	RTC    int64         `json:"rtc,omitempty"` // hardware clock, seconds; 0: there is none
	Sum    string        `json:"sum"`           // SHA-256 of the same object without this field
}

func (k kept) sum() (string, error) {
	k.Sum = ""
	b, err := json.Marshal(k)
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:]), err
}

func (k kept) encode() ([]byte, error) {
	var err error
	if k.Sum, err = k.sum(); err != nil {
		return nil, err
	}
	return json.Marshal(k)
}

// decode reads a file that encode wrote, whole.
func decode(b []byte) (kept, error) {
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return k, errors.New("it is torn or no JSON")
	}
	want, err := k.sum()
	switch {
	case err != nil || k.Sum != want:
		return k, errors.New("its checksum is wrong")
	case k.V != keepVersion:
		return k, fmt.Errorf("version %d; this program reads version %d", k.V, keepVersion)
	case k.Origin != "" && (k.Origin != FromHeld && k.Origin != FromCentral || k.Time.IsZero() || k.Spoke.After(k.Time) || k.Boot < 0):
		return k, errors.New("its fields contradict each other")
	}
	return k, nil
}

// Load takes up what an earlier run left in File, once, before the clock is
// used. Whatever is wrong with it is said in one line of the log, and then the
// time is not trusted until a source speaks.
func (c *Clock) Load() {
	if c.File == "" {
		return
	}
	k, err := readKept(c.File)
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		c.floor = k.Signed
		if k.Origin == "" {
			return
		}
		err = c.carry(k)
	}
	if err != nil {
		c.why = err.Error()
		c.touch() // what cannot be used now must not become usable later
		c.log().Warn("what was known of the time is lost; it is not trusted until the kernel is synchronised or central says it", "why", err)
	}
}

// carry brings a kept anchor to now.
func (c *Clock) carry(k kept) error {
	a := anchor{time: k.Time, origin: k.Origin, spoke: k.Spoke}
	boot, id := c.boot(), c.bootID()
	if id != "" && id == k.BootID {
		if boot < k.Boot {
			return errors.New("the boot clock went backwards within one boot")
		}
		a.boot = k.Boot
		c.anchor = a
		return nil
	}
	rtc, ok := c.rtc()
	if !ok || k.RTC == 0 {
		return errors.New("the machine was booted and has no hardware clock that could carry the time over that")
	}
	gone := rtc.Sub(time.Unix(k.RTC, 0))
	if gone < -rtcSlack {
		return fmt.Errorf("the hardware clock lies %v before where it was: it was set back, or its battery is empty", (-gone).Round(time.Second))
	}
	a.time, a.boot = k.Time.Add(max(0, gone)), boot
	c.anchor = a
	return nil
}

func readKept(path string) (kept, error) {
	info, err := os.Stat(path)
	if err != nil {
		return kept{}, err
	}
	if info.Size() > maxFile || !info.Mode().IsRegular() {
		return kept{}, fmt.Errorf("%s is no file of at most %d bytes", path, maxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return kept{}, err
	}
	k, err := decode(b)
	if err != nil {
		return k, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// Keep writes File until ctx ends, and once more then: at each new word of a
// source, and every five minutes.
func (c *Clock) Keep(ctx context.Context) error {
	c.mu.Lock()
	wake := c.wake()
	c.mu.Unlock()
	look, save := time.NewTicker(lookEvery), time.NewTicker(saveEvery)
	defer look.Stop()
	defer save.Stop()
	for {
		select {
		case <-ctx.Done():
			c.save()
			return nil
		case <-look.C:
			c.State()
		case <-save.C:
			c.save()
		case <-wake:
			c.save()
		}
	}
}

// save writes the anchor, brought to now, so that the file always holds the
// newest time that was trusted.
func (c *Clock) save() {
	if c.File == "" {
		return
	}
	rtc, haveRTC := c.rtc()
	c.mu.Lock()
	c.state()
	boot := c.boot()
	k := kept{V: keepVersion, Signed: c.floor.UTC()}
	if a := c.anchor; a.origin != "" {
		k.Time, k.Origin, k.Spoke = a.at(boot).UTC(), a.origin, a.spoke.UTC()
		k.BootID, k.Boot = c.bootID(), boot
		if haveRTC {
			k.RTC = rtc.Unix()
		}
	}
	c.mu.Unlock()
	b, err := k.encode()
	if err == nil {
		err = durable.WriteFile(c.File, b, 0o600)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.unkept
	c.unkept = ""
	if err != nil {
		c.unkept = err.Error()
	}
	switch {
	case err != nil && was == "":
		c.log().Error("the time is not kept: a restart may lose it", "err", err)
	case err == nil && was != "":
		c.log().Info("the time is kept again")
	}
}
