package clock

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// timeError is the adjtimex state of an unsynchronised clock (TIME_ERROR,
	// adjtimex(2)).
	timeError = 5
	// bootIDPath holds an id that the kernel draws at each boot (proc(5)).
	bootIDPath = "/proc/sys/kernel/random/boot_id"
	// rtcPath is the hardware clock in seconds (Linux, Documentation/ABI,
	// sysfs-class-rtc). It is compared with itself alone, so it does not
	// matter whether it keeps UTC or the local time.
	rtcPath = "/sys/class/rtc/rtc0/since_epoch"
)

func (c *Clock) wall() time.Time {
	if c.Wall != nil {
		return c.Wall()
	}
	return time.Now().Round(0)
}

func (c *Clock) boot() time.Duration {
	if c.Boot != nil {
		return c.Boot()
	}
	d, err := SinceBoot()
	if err != nil {
		return 0
	}
	return d
}

// SinceBoot is the boot clock: the time since the machine was started, suspend
// included (CLOCK_BOOTTIME, clock_gettime(2)). Nobody can set it.
func SinceBoot() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, fmt.Errorf("read the boot clock: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

func (c *Clock) kernelSynced() bool {
	if c.Synced != nil {
		return c.Synced()
	}
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	return err == nil && state != timeError && tx.Status&unix.STA_UNSYNC == 0
}

// bootID tells boots apart; empty where the kernel does not say.
func (c *Clock) bootID() string {
	if c.BootID != nil {
		return c.BootID()
	}
	id, err := BootID()
	if err != nil {
		return ""
	}
	return id
}

// BootID is the id that the kernel has drawn at this boot.
func BootID() (string, error) {
	id, err := os.ReadFile(bootIDPath)
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

func (c *Clock) rtc() (time.Time, bool) {
	if c.RTC != nil {
		return c.RTC()
	}
	text, err := os.ReadFile(rtcPath)
	if err != nil {
		return time.Time{}, false
	}
	sec, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return time.Unix(sec, 0), err == nil
}

func (c *Clock) log() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.New(slog.DiscardHandler)
}
