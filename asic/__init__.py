"""What it costs: Liberty libraries, synthesis, timing, switching activity, power, area-delay fronts."""
