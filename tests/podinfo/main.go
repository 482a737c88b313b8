// Copyright (c) ocm.airgap contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Podinfo is the program of the demo: it says over HTTP who it is.
//
// It speaks as much HTTP/1.1 as browsers and the probes of Kubernetes need, on package net alone: net/http would make
// the image three times as large.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Set by the build.
var (
	version  = "0.0.0"
	greeting = "hello"
)

// Not from the environment: where a Service is called podinfo, Kubernetes sets PODINFO_PORT, to an address.
const port = "9898"

const (
	timeLimit = 10 * time.Second
	sizeLimit = 64 << 10
)

type response struct {
	status, mediaType, body string
}

func main() {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("podinfo", version, "listens on port", port)
	go stopOnSignal()
	for {
		connection, err := listener.Accept()
		if err != nil {
			// Out of file descriptors, for example: it passes.
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		go serve(connection)
	}
}

// The first process of a container is not ended by SIGTERM unless it handles it.
func stopOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
	os.Exit(0)
}

// serve answers one request and closes the connection.
func serve(connection net.Conn) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(timeLimit))
	method, path, err := readRequest(bufio.NewReader(io.LimitReader(connection, sizeLimit)))
	if err == io.EOF {
		return
	}
	answer := response{"400 Bad Request", "text/plain", "bad request\n"}
	if err == nil {
		answer = answerTo(method, path)
	}
	header := fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
		answer.status, answer.mediaType, len(answer.body))
	if method == "HEAD" {
		answer.body = ""
	}
	_, _ = io.WriteString(connection, header+answer.body)
}

// readRequest reads the request line and skips the headers. It returns io.EOF for a connection without a request.
func readRequest(reader *bufio.Reader) (method, path string, err error) {
	line, err := reader.ReadString('\n')
	if err != nil {
		return "", "", err
	}
	words := strings.Fields(line)
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/1.") {
		return "", "", errors.New("not HTTP/1")
	}
	for {
		line, err = reader.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		if strings.TrimRight(line, "\r\n") == "" {
			path, _, _ = strings.Cut(words[1], "?")
			return words[0], path, nil
		}
	}
}

func answerTo(method, path string) response {
	if method != "GET" && method != "HEAD" {
		return response{"405 Method Not Allowed", "text/plain", "GET and HEAD alone\n"}
	}
	switch path {
	case "/":
		return response{"200 OK", "application/json", information()}
	case "/healthz", "/readyz":
		return response{"200 OK", "application/json", "{\"status\": \"OK\"}\n"}
	}
	return response{"404 Not Found", "text/plain", "not found\n"}
}

func information() string {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "unknown"
	}
	message := valueOr("PODINFO_UI_MESSAGE", greeting)
	return fmt.Sprintf("{\"message\": %s, \"version\": %s, \"hostname\": %s}\n",
		quoted(message), quoted(version), quoted(hostname))
}

// valueOr is the environment variable, or the default for one that is empty or not there.
func valueOr(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// quoted is a JSON string (RFC 8259, section 7). What is not UTF-8 becomes U+FFFD.
func quoted(text string) string {
	var result strings.Builder
	result.WriteByte('"')
	for _, letter := range text {
		switch {
		case letter == '"' || letter == '\\':
			result.WriteByte('\\')
			result.WriteRune(letter)
		case letter < 0x20:
			fmt.Fprintf(&result, "\\u%04x", letter)
		default:
			result.WriteRune(letter)
		}
	}
	result.WriteByte('"')
	return result.String()
}
