/** Timers between workers over RabbitMQ. */
import { startVhost } from "../servers/rabbitmq.ts";
import { describeFarTimers } from "./timers_far.ts";

describeFarTimers("RabbitMQ", startVhost);
