package vpcd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dialInside connects to a port of the daemon's own network. The thread that
// entered it is never unlocked, so the runtime ends it with the goroutine and
// no other code ever runs in the wrong network.
func dialInside(ctx context.Context, pid, port int) (*net.TCPConn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		if err := enterNetwork(pid); err != nil {
			done <- result{nil, err}
			return
		}
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		done <- result{conn, err}
	}()
	r := <-done
	if r.err != nil {
		return nil, r.err
	}
	return r.conn.(*net.TCPConn), nil
}

func enterNetwork(pid int) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network of process %d: %w", pid, err)
	}
	return nil
}

// allListening says whether every slot's port is open in the network of pid.
// It reads the kernel's table (proc(5), /proc/net/tcp): to dial would already
// be an insertion.
func allListening(pid int) bool {
	open := map[int]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			const local, state, listen = 1, 3, "0A"
			fields := strings.Fields(lines.Text())
			if len(fields) <= state || fields[state] != listen {
				continue
			}
			_, hex, _ := strings.Cut(fields[local], ":")
			if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
				open[int(port)] = true
			}
		}
		f.Close()
	}
	for slot := range slots {
		if !open[firstPort+slot] {
			return false
		}
	}
	return true
}
