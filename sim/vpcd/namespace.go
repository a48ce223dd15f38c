package vpcd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
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

// States of a connection in proc(5), /proc/net/tcp (include/net/tcp_states.h).
const (
	tcpEstablished = "01"
	tcpCloseWait   = "08"
	tcpListen      = "0A"
)

// connections gives the states of everything at each local port in the network
// of pid. It reads the kernel's table: to dial would already be an insertion.
func connections(pid int) map[int][]string {
	states := map[int][]string{}
	for _, table := range []string{"tcp", "tcp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			const local, state = 1, 3
			fields := strings.Fields(lines.Text())
			if len(fields) <= state {
				continue
			}
			_, hex, _ := strings.Cut(fields[local], ":")
			if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
				states[int(port)] = append(states[int(port)], fields[state])
			}
		}
		f.Close()
	}
	return states
}

// allListening says whether the driver waits for chips at every slot.
func allListening(pid int) bool {
	states := connections(pid)
	for slot := range slots {
		if !slices.Contains(states[firstPort+slot], tcpListen) {
			return false
		}
	}
	return true
}

// taken says whether the driver still holds a chip's connection, also one whose
// chip has left without the driver having looked.
func taken(pid, slot int) bool {
	at := connections(pid)[firstPort+slot]
	return slices.Contains(at, tcpEstablished) || slices.Contains(at, tcpCloseWait)
}
