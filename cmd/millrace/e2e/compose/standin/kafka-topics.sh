#!/bin/sh
# kafka-topics.sh --bootstrap-server ADDRESS --list
exec kcat -b "$2" -L -m 10
