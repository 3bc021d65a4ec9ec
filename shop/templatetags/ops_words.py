"""Template filters of the operations page: figures as people read them."""

from django import template

from shop.operations.pages import words

register = template.Library()
register.filter("duration", words.duration)
register.filter("quick", words.milliseconds)
register.filter("number", words.number)
register.filter("rate", words.rate)
register.filter("percent", words.percent)
register.filter("size", words.size)
register.filter("ago", words.ago)
register.filter("clock", words.clock)
register.filter("sentence", words.sentence)
