// Package health judges agents, nodes and fleets from what the API server
// shows of them. It is pure: time is an argument, nothing is fetched.
package health
